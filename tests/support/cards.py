"""Cards to render in tests: a realistic one, a hostile one, and some of any number of layers.

All are built from closed formulas and a seeded generator, so that goldens hold on every machine.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import cache

from thermoscan.card import (
    CARD_VERSION,
    SCHEMA_URL,
    Card,
    Comparison,
    Coverage,
    CoverageItem,
    Digest,
    Engine,
    ExpertSpread,
    Finding,
    InitialisationRecord,
    LayerChange,
    LayerProbe,
    LayerRecord,
    Model,
    ModelFile,
    NotLookedFor,
    OtherFile,
    Probe,
    ProbeRun,
    Sampling,
    Summary,
)
from thermoscan.card_spectra import NO_SPECTRA, LayerSpectra, SpectraSummary

from .spectral_cards import nine, with_spectra

NO_BASE = {"refresh_temperature": "no base checkpoint was given"}
ALONE = {
    "probe": "the model was not run on data",
    "change": "no base checkpoint was given",
    "spectra": NO_SPECTRA,
}
AT_START = "at initialisation: the entropy has not moved by more than its error"

HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script></style></title></svg><svg onload=alert(1)>",
    "]]><!--{{ 7*7 }}{% raw %}",
    "a\x1b[31mred\x1b]8;;http://evil.example\x07link\x00",
    "\u202egnp.erutcip\u2066\u200b\ufeff",
    "\ud800lone\udfff",
    "[bold red]markup[/] [link=http://evil.example]x[/link] :smile:",
    "line\nbreak\r\ttab\u2028\u2029\x85",
    "x" * 5000,
    "'; alert(1); '",
    "javascript:alert(1)",
    "\U000f0000private\U0010ffff",
    '=HYPERLINK("http://evil.example")',
    "",
)


def layer(
    name: str,
    role: str,
    shape: tuple[int, int],
    reduced: float,
    order: float,
    *,
    depth: int | None = None,
    transition: float | None = None,
    efficiency: float | None = None,
    activation: str = "gelu",
    dtype: str = "F32",
) -> LayerRecord:
    """A layer whose figures agree with each other by theory section 3."""
    fan_in = 1 if role == "embedding" else shape[1]
    temperature = reduced / fan_in
    entropic = temperature * math.exp(-2 * order)
    entropy = 0.5 * math.log(2 * math.pi * math.e * entropic)
    reasons = {**NO_BASE, **ALONE}
    if transition is None:
        reasons["transition_temperature"] = AT_START
    if efficiency is None:
        reasons["engine"] = "no nonlinearity follows it"
    if depth is None:
        reasons["depth"] = "its name holds no block number"
    engine = None
    if efficiency is not None:
        heat = shape[0] * reduced
        engine = Engine(
            activation, "non-saturating", nine(heat), nine(heat * efficiency), efficiency, True
        )
    return LayerRecord(
        name=name,
        tensor=name,
        role=role,
        depth=depth,
        shape=shape,
        dtype=dtype,
        parameters=shape[0] * shape[1],
        temperature=nine(temperature),
        reduced_temperature=nine(reduced),
        entropic_temperature=nine(entropic),
        entropy=nine(entropy),
        entropy_error=nine(1 / math.sqrt(shape[0] * shape[1])),
        order=nine(order),
        transition_temperature=transition,
        refresh_temperature=None,
        sparsity=0.0,
        bits_per_parameter=nine(20 + entropy / math.log(2)),
        mean=0.0001,
        minimum=nine(-6 * math.sqrt(temperature)),
        maximum=nine(6 * math.sqrt(temperature)),
        kurtosis=3.1,
        non_finite=0,
        initialisation=InitialisationRecord("normal", 0.0004, "initializer_range of config.json"),
        engine=engine,
        probe=None,
        change=None,
        spectra=None,
        digest="xxh3-128:99aa06d3014798d86001c324468d497f",
        reasons=reasons,
    )


def _block(random_: random.Random, depth: int, width: int, prefix: str) -> list[LayerRecord]:
    warmth = 1.5 + 0.25 * depth
    rows: list[tuple[str, str, tuple[int, int], float, float | None]] = [
        ("attention.self.query", "attention query", (width, width), 1.4, None),
        ("attention.self.key", "attention key", (width, width), 1.35, None),
        ("attention.self.value", "attention value", (width, width), 0.8, None),
        ("attention.output.dense", "attention output", (width, width), 0.75, None),
        ("intermediate.dense", "mlp up", (4 * width, width), 1.1, 0.04 + 0.03 * (depth % 9)),
        ("output.dense", "mlp down", (width, 4 * width), 2.9, None),
    ]
    found = []
    for name, role, shape, factor, efficiency in rows:
        reduced = warmth * factor * random_.uniform(0.85, 1.15)
        found.append(
            layer(
                f"{prefix}.{depth}.{name}.weight",
                role,
                shape,
                reduced,
                random_.lognormvariate(-4, 0.5),
                depth=depth,
                transition=nine(0.3 * reduced / shape[1]),
                efficiency=None if efficiency is None else nine(efficiency),
            )
        )
    return found


@cache
def realistic() -> Card:
    """A card much like that of a six-block sentence encoder: two findings, some files skipped."""
    random_ = random.Random(7)
    width = 384
    layers = [
        layer("embeddings.word_embeddings.weight", "embedding", (30522, width), 0.00332, 0.034,
              transition=0.0011),
        layer("embeddings.position_embeddings.weight", "embedding", (512, width), 0.00104, 0.21,
              transition=0.00061),
    ]  # fmt: skip
    for depth in range(6):
        layers += _block(random_, depth, width, "encoder.layer")
    pooler = layer("pooler.dense.weight", "linear", (width, width), 0.0323, 0.018,
                   transition=0.000195, efficiency=0.412, activation="tanh")  # fmt: skip
    layers.append(pooler)
    return assemble("sentence-transformers/all-MiniLM-L6-v2", tuple(layers), _findings(pooler.name))


def _findings(pooler: str) -> tuple[Finding, ...]:
    return (
        Finding(
            "wasted-precision", "info", None,
            "every value fits bfloat16: 45.4 MB of 90.9 MB hold zeros",
            "The file stores 32 bits a value where 16 carry all the information.",
            "Save it in bfloat16; nothing is lost.",
            {"bytes_saved": 45430000},
        ),
        Finding(
            "order-under-heating", "info", "encoder.layer.0.attention.self.query.weight",
            "T* = -0.0021: energy rose while entropy fell",
            "Structure formed while the weights grew, like a population inversion.",
            "Nothing to do; a sign of long training on this layer.",
            {"transition_temperature": -0.0021},
        ),
        Finding(
            "decayed", "warning", pooler,
            "T is 0.21 of its initialisation and the entropy fell by 0.81 nats",
            "Weight decay shrank it while no gradient reached it: it was not used in training.",
            "Do not rely on its output; take the mean of the token vectors instead.",
            {"ratio": 0.21, "entropy_change": -0.81},
        ),
    )  # fmt: skip


def assemble(
    model_id: str,
    layers: tuple[LayerRecord, ...],
    findings: tuple[Finding, ...] = (),
) -> Card:
    """A whole card around `layers`."""
    analysed = sum(item.parameters for item in layers)
    recorded = analysed // 400
    total = analysed + recorded
    return Card(
        schema=SCHEMA_URL,
        version=CARD_VERSION,
        generator="thermoscan 0.1.0",
        model=Model(
            id=model_id,
            revision="8b3219a92973c328a8e22fadcfa821b5dc75636a",
            architecture="bert",
            parameters=total,
            bytes=4 * total,
            dtypes={"F32": total},
            files=(ModelFile("model.safetensors", 4 * total + 11000, Digest("sha256", "53" * 32)),),
        ),
        sampling=None,
        summary=Summary(
            temperature=0.00341207,
            reduced_temperature=2.61530412,
            transition_temperature=0.00102313,
            refresh_temperature=None,
            order=0.0312045,
            work_efficiency=0.174,
            engine_type="non-saturating",
            engine_shares={"non-saturating": 0.997, "saturating": 0.003},
            carnot_bound=0.982,
            bits_per_parameter=15.8123,
            sparsity=0.0,
            reasons=dict(NO_BASE),
        ),
        layers=layers,
        experts=(),
        spectra=None,
        probe=None,
        comparison=None,
        findings=findings,
        not_looked_for=(),
        coverage=Coverage(
            parameters=total,
            analysed=CoverageItem(
                "weight matrices", len(layers), analysed, nine(100 * analysed / total)
            ),
            recorded=(
                CoverageItem(
                    "norm gains and biases", 74, recorded, nine(100 * recorded / total)
                ),
            ),
            skipped=(),
        ),
        files=(
            OtherFile("pytorch_model.bin", 90888945, "skipped", "other-format-chosen",
                      "the same model in safetensors was scanned"),
            OtherFile("onnx/model.onnx", 90405214, "refused", "onnx", "ONNX graphs are not read"),
        ),
        notes=(
            "Initialisation is taken from initializer_range of config.json.",
            "Efficiencies are estimates: inputs are taken to be what the feeding norm makes them.",
        ),
        reasons={
            "probe": ALONE["probe"],
            "comparison": ALONE["change"],
            "spectra": NO_SPECTRA,
            "sampling": "every byte was read",
        },
    )  # fmt: skip


@cache
def of_layers(count: int) -> Card:
    """A card of `count` layers with names and figures as a mixture-of-experts model has them."""
    random_ = random.Random(count)
    roles = (
        ("self_attn.q_proj", "attention query", (4096, 4096)),
        ("self_attn.k_proj", "attention key", (1024, 4096)),
        ("self_attn.v_proj", "attention value", (1024, 4096)),
        ("self_attn.o_proj", "attention output", (4096, 4096)),
        ("mlp.gate_proj", "mlp gate", (14336, 4096)),
        ("mlp.up_proj", "mlp up", (14336, 4096)),
        ("mlp.down_proj", "mlp down", (4096, 14336)),
    )
    per_block = max(7, count // 48)
    layers = []
    for index in range(count):
        depth, place = divmod(index, per_block)
        name, role, shape = roles[place if place < 4 else 4 + (place - 4) % 3]
        if place > 6:
            name = name.replace("mlp", f"mlp.experts.{(place - 4) // 3}")
        reduced = random_.lognormvariate(0.8, 0.5)
        layers.append(
            layer(
                f"model.layers.{depth}.{name}.weight",
                role,
                shape,
                reduced,
                random_.lognormvariate(-4, 0.8),
                depth=depth,
                transition=nine(random_.gauss(0.3, 0.2) * reduced / shape[1]),
                efficiency=nine(random_.uniform(0.03, 0.4)) if role == "mlp gate" else None,
                activation="silu",
                dtype="BF16",
            )
        )
    flagged = layers[:: max(1, count // 40)]
    findings = tuple(
        Finding(
            code="hot",
            severity="warning",
            layer=item.name,
            message=f"τ is {item.reduced_temperature:.3g}, 4.1 robust deviations above its peers",
            meaning="It moved further than the other layers of its role.",
            advice="Look at its learning rate.",
            evidence={"tau": item.reduced_temperature},
        )
        for item in flagged
    )  # fmt: skip
    return assemble("mistralai/Mixtral-8x7B-v0.1", tuple(layers), findings)


@cache
def complete() -> Card:
    """The realistic card with all that a card can have: a run, a base, experts, spectra.

    Its last layer is a convolution, which the others have none of.
    """
    base = realistic()
    conv = layer("encoder.layer.5.conv.weight", "convolution", (384, 288), 1.9, 0.041, depth=5,
                 transition=0.0011)  # fmt: skip
    layers = tuple(_measured(each, index) for index, each in enumerate((*base.layers, conv)))
    probe = Probe(
        objective="masked language modelling",
        device="cpu",
        seed=0,
        run=ProbeRun("letters.txt", 40, 2310, 3.21, 1.4e-6, 5410.2, 301.7, 0.0557653),
        reference=ProbeRun("the sample that comes with thermoscan", 48, 1822, 2.63, 2.1e-7,
                           5120.9, 280.1, 0.0546974),
        baseline=ProbeRun("letters.txt", 40, 2310, 10.4, 3.3e-6, 812.5, 345.4, 0.425108),
        copies=2,
    )  # fmt: skip
    comparison = Comparison(
        base="nreimers/MiniLM-L6-H384-uncased",
        base_revision="3276f0fac9d818781d7a1327b3ff818fc4e643c0",
        verdict="fine-tune",
        because="99.9 % of the base is kept and every layer points the same way.",
        statuses={"same": 2, "changed": 37, "re-initialised": 1, "resized": 0, "added": 0},
        removed=("cls.predictions.decoder.weight", "cls.predictions.transform.dense.weight"),
        energy_change=0.00001,
        entropy_change=0.0021,
        distance=0.0812,
        cosine=0.9967,
        kept=0.9989,
    )
    experts = (
        ExpertSpread("encoder.layer.3.experts[*]", "mlp up", 3, 8, 2.1, 0.031, 0.002, 0.004,
                     "encoder.layer.3.experts[5]", "encoder.layer.3.experts[2]"),
    )  # fmt: skip
    found = replace(
        base,
        summary=replace(base.summary, refresh_temperature=0.00476, reasons={}),
        layers=layers,
        probe=probe,
        comparison=comparison,
        experts=experts,
        reasons={name: base.reasons[name] for name in ("sampling", "spectra")},
    )
    return with_spectra(found)


@cache
def sampled() -> Card:
    """The realistic card as a sample of its bytes would give it; its first layer was read whole."""
    base = realistic()
    why = "only a sample of its bytes was read"
    first, *rest = base.layers
    summary = base.summary
    return replace(
        base,
        model=replace(
            base.model,
            files=tuple(
                replace(each, digest=None, reasons={"digest": why}) for each in base.model.files
            ),
        ),
        sampling=Sampling(4_302_336, 90_852_864, 0.0473549849, 7, 820, 64, 0.95),
        summary=replace(
            summary,
            intervals={
                "reduced_temperature": (2.5, 2.75),
                "order": (0.0201, 0.0423),
                "work_efficiency": (0.161, 0.187),
            },
        ),
        layers=(first, *(estimated(each) for each in rest)),
        not_looked_for=(NotLookedFor("constant", why), NotLookedFor("dead-units", why)),
        reasons={name: text for name, text in base.reasons.items() if name != "sampling"},
    )


def estimated(layer: LayerRecord) -> LayerRecord:
    """A layer as a sample of its bytes would give it."""
    why = "only a sample of its bytes was read"
    names = ("temperature", "reduced_temperature", "order")
    unknown = ("minimum", "maximum", "kurtosis", "digest")
    engine = layer.engine
    if engine is not None and engine.efficiency is not None:
        share = engine.efficiency
        engine = replace(engine, intervals={"efficiency": (nine(0.9 * share), nine(1.1 * share))})
    return replace(
        layer,
        intervals={
            name: (nine(0.9 * value), nine(1.2 * value))
            for name in names
            if (value := getattr(layer, name)) is not None
        },
        engine=engine,
        minimum=None,
        maximum=None,
        kurtosis=None,
        digest=None,
        reasons={**layer.reasons, **dict.fromkeys(unknown, why)},
    )


def _measured(layer: LayerRecord, index: int) -> LayerRecord:
    """A layer that was run on data and compared; the first two have not changed."""
    reasons = {key: why for key, why in layer.reasons.items() if key not in ("probe", "change")}
    engine = layer.engine is not None
    silent = {} if engine else dict.fromkeys(
        ("heat", "work", "efficiency", "reference_efficiency", "baseline_efficiency"),
        "no activation follows it",
    )  # fmt: skip
    same = index < 2
    if same:
        reasons["refresh_temperature"] = "at the base checkpoint"
    else:
        del reasons["refresh_temperature"]
    return replace(
        layer,
        refresh_temperature=None if same else nine(0.001 * (index + 1)),
        probe=LayerProbe(
            parameters=layer.parameters,
            temperature=nine(1e-6 * math.cos(index)),
            heat=nine(900.0 + index) if engine else None,
            work=nine(50.0 + index) if engine else None,
            efficiency=nine((50.0 + index) / (900.0 + index)) if engine else None,
            reference_temperature=nine(1e-7 * index),
            reference_efficiency=0.05 if engine else None,
            baseline_temperature=3e-6,
            baseline_efficiency=0.425 if engine else None,
            reasons=silent,
        ),
        change=LayerChange(
            status="same" if same else "changed",
            energy_change=0.0 if same else 1e-5,
            energy_error=0.0 if same else 1e-7,
            entropy_change=0.0 if same else 0.002,
            entropy_error=0.0 if same else 0.0001,
            distance=0.0 if same else nine(0.01 * index),
            cosine=1.0 if same else 0.9967,
            kept=1.0 if same else 0.9989,
            rank=None if same else 8,
            reasons={"rank": "nothing has changed"} if same else {},
        ),
        reasons=reasons,
    )


def hostile() -> Card:
    """A card in which every name, id, file and evidence key is an attack."""
    base = realistic()
    layers = tuple(
        replace(
            item,
            name=f"{name}{index}",
            tensor=name,
            dtype=name[:20],
            role=name or "linear",
            spectra=_hostile_spectra(name),
        )
        for index, (item, name) in enumerate(zip(base.layers, HOSTILE_NAMES, strict=False))
    )
    findings = tuple(
        Finding("decayed", "warning", item.name, "T is 0.21 of its start", name, name, {name: name})
        for item, name in zip(layers, HOSTILE_NAMES, strict=True)
    )
    model = replace(
        base.model,
        id=HOSTILE_NAMES[0],
        revision=HOSTILE_NAMES[1],
        architecture=HOSTILE_NAMES[2],
        dtypes=dict.fromkeys(HOSTILE_NAMES, 1),
        files=tuple(ModelFile(n, 1, Digest("sha256", "00" * 32)) for n in HOSTILE_NAMES),
    )
    files = tuple(OtherFile(name, 1, "refused", "onnx", name) for name in HOSTILE_NAMES)
    experts = tuple(
        ExpertSpread(name, name, 1, 2, 1.0, 0.1, 0.1, 0.1, name, name) for name in HOSTILE_NAMES
    )
    unknown = ("loss", "temperature", "heat", "work", "efficiency")
    why = dict(zip(unknown, HOSTILE_NAMES, strict=False))
    run = ProbeRun(HOSTILE_NAMES[0], 1, 1, None, None, None, None, None, why)
    probe = Probe(HOSTILE_NAMES[1], HOSTILE_NAMES[4], 0, run, run, run, 2)
    comparison = Comparison(
        HOSTILE_NAMES[2], HOSTILE_NAMES[5], HOSTILE_NAMES[3], HOSTILE_NAMES[0],
        dict.fromkeys(HOSTILE_NAMES, 1), HOSTILE_NAMES, 0.0, 0.0, 0.0, 1.0, 1.0,
    )  # fmt: skip
    return replace(
        base,
        model=model,
        layers=layers,
        experts=experts,
        spectra=_hostile_summary(),
        probe=probe,
        comparison=comparison,
        findings=findings,
        files=files,
        notes=HOSTILE_NAMES,
        reasons={"sampling": base.reasons["sampling"]},
    )


def _hostile_spectra(name: str) -> LayerSpectra:
    """Attacks in the place of every reason."""
    why = name or "attack"
    return LayerSpectra(matrix=None, slices=None, reasons={"matrix": why, "slices": why})


def _hostile_summary() -> SpectraSummary:
    names = (
        "alpha", "alpha_weighted", "log_alpha_norm", "log_norm", "log_spectral_norm",
        "stable_rank", "soft_rank", "ordered_fraction",
    )  # fmt: skip
    reasons = dict(zip(names, HOSTILE_NAMES, strict=False))
    return SpectraSummary(
        max_side=8192, spectra=0, fits=0, sampled=0, outliers=0, reasons=reasons,
        **dict.fromkeys(names),
    )  # fmt: skip


def bare() -> Card:
    """A card in which nothing could be known: no layer, every summary value null."""
    base = realistic()
    mappings = ("engine_shares", "intervals", "reasons")
    empty = {name: None for name in vars(base.summary) if name not in mappings}
    reasons = dict.fromkeys(empty, "no weight matrix in this checkpoint")
    return replace(
        base,
        model=replace(
            base.model,
            revision=None,
            architecture=None,
            reasons={"revision": "a local path", "architecture": "no config.json beside it"},
        ),
        summary=replace(base.summary, **empty, engine_shares={}, reasons=reasons),
        layers=(),
        findings=(),
        files=(),
        notes=(),
        coverage=Coverage(0, CoverageItem("weight matrices", 0, 0, 0.0), (), ()),
    )

"""Writes the card: from a measurement and its findings to the published record.

Every number that cannot be given becomes None with its reason. Nothing is measured here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import xxhash

from thermoscan._version import __version__
from thermoscan.anatomy.model import Role
from thermoscan.card import (
    CARD_VERSION,
    SCHEMA_URL,
    Card,
    Coverage,
    CoverageItem,
    Digest,
    Engine,
    Finding,
    InitialisationRecord,
    LayerRecord,
    Model,
    ModelFile,
    OtherFile,
    Summary,
)
from thermoscan.reasons import Reasons
from thermoscan.scanner.experts import expert_spreads
from thermoscan.scanner.measurement import LayerMeasurement, Measurement
from thermoscan.scanner.stages import NOT_AN_ENGINE
from thermoscan.theory.engine import carnot_bound, network
from thermoscan.theory.initialisation import Initialisation
from thermoscan.theory.states import (
    NO_ENTROPY,
    Transition,
    network_state,
    network_transition,
)

TENSOR_DIGESTS = "xxh3-128/tensors"
"""A file's digest: xxh3-128 over the 16-byte digests of its tensors, in the order of the file."""

NO_BASE = "no base checkpoint was given"
NOT_PROBED = "the model was not run on data"
NOT_IN_BASE = "the base checkpoint has no layer of this name with an entropy"
NO_DEGREES = "it has no finite entry that is not zero, or entries beyond 1e75"
NO_LAYER = "no layer was analysed"
NO_SUM = "no layer but embeddings was analysed, whose inputs are one-hot"

_ESTIMATED = (
    "The work efficiency of an engine is estimated from the weights, not measured: pre-activations "
    "are taken as normal, with the gain and bias of the norm that feeds the layer, or unit-energy "
    "inputs where none does."
)
_NORMALISED = (
    "Where a norm stands between a layer and its activation, the pre-activation has the mean and "
    "variance that the norm's own bias and gain give it."
)
_UPPER_BITS = (
    "Bits per parameter of 32- and 64-bit floats are an upper bound: the leading 16 bits are "
    "measured, the others count in full unless they are all zero."
)


def card_of(
    measurement: Measurement, findings: Sequence[Finding], sha256: Mapping[str, str]
) -> Card:
    """Returns the card of a measured checkpoint.

    Args:
        measurement: Everything that was measured.
        findings: What a person should know, in the order to show them.
        sha256: Hexadecimal sha256 by file name, for the files whose bytes were digested once more.
    """
    checkpoint = measurement.checkpoint
    return Card(
        schema=SCHEMA_URL,
        version=CARD_VERSION,
        generator=f"thermoscan {__version__}",
        model=_model(measurement, sha256),
        summary=_summary(measurement),
        layers=tuple(_layer(each, measurement) for each in measurement.layers),
        experts=expert_spreads(measurement.layers),
        probe=None,
        comparison=measurement.comparison,
        findings=tuple(findings),
        coverage=_coverage(measurement),
        files=tuple(
            OtherFile(each.name, each.size, each.status, each.code or "", each.reason or "")
            for each in checkpoint.files
            if each.status != "scanned"
        ),
        notes=tuple(
            dict.fromkeys(
                [*checkpoint.notes, *measurement.anatomy.notes, *_assumptions(measurement)]
            )
        ),
        reasons={"probe": NOT_PROBED} | ({} if measurement.comparison else {"comparison": NO_BASE}),
    )


def _assumptions(measurement: Measurement) -> Iterable[str]:
    if any(each.stage for each in measurement.layers):
        yield _ESTIMATED
    if any(each.stage and each.layer.following for each in measurement.layers):
        yield _NORMALISED
    if any(each.tensor.dtype.itemsize >= 4 for each in measurement.layers):
        yield _UPPER_BITS


def _model(measurement: Measurement, sha256: Mapping[str, str]) -> Model:
    checkpoint, anatomy = measurement.checkpoint, measurement.anatomy
    reasons = Reasons()
    if checkpoint.source.revision is None:
        reasons["revision"] = "not from a hub repository"
    if anatomy.architecture is None:
        reasons["architecture"] = "no configuration with a model_type lies beside the weights"
    dtypes: Counter[str] = Counter()
    for tensor in checkpoint.tensors:
        if tensor.name not in anatomy.tied:
            dtypes[tensor.dtype.label] += tensor.size
    scanned = [each for each in checkpoint.files if each.status == "scanned"]
    return Model(
        id=checkpoint.source.id,
        revision=checkpoint.source.revision,
        architecture=anatomy.architecture,
        parameters=dtypes.total(),
        bytes=sum(each.size for each in scanned),
        dtypes=dict(sorted(dtypes.items())),
        files=tuple(
            ModelFile(each.name, each.size, _digest(each.name, each.sha256, measurement, sha256))
            for each in scanned
        ),
        reasons=reasons,
    )


def _digest(
    name: str, stated: str | None, measurement: Measurement, sha256: Mapping[str, str]
) -> Digest:
    computed = sha256.get(name) or stated
    if computed:
        return Digest("sha256", computed)
    tensors = [tensor for tensor in measurement.checkpoint.tensors if tensor.file == name]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.name))
    content = b"".join(bytes.fromhex(measurement.digests[tensor.name]) for tensor in tensors)
    return Digest(TENSOR_DIGESTS, xxhash.xxh3_128_hexdigest(content))


def _summary(measurement: Measurement) -> Summary:
    layers = measurement.layers
    reasons = Reasons()
    state = network_state([each.state for each in layers if each.state])
    summing = network_state(
        [each.state for each in layers if each.state and each.layer.role is not Role.EMBEDDING]
    )
    engine = network([each.stage for each in layers if each.stage])
    carnot = carnot_bound(
        [each.state.reduced_temperature for each in layers if each.stage and each.state]
    )
    first = _whole(layers, "initialisation")
    refresh = _whole(layers, "the base checkpoint")
    count = sum(each.tally.count for each in layers)
    no_stage = _no_stage(layers)
    if engine.type is None:
        reasons["engine_type"] = no_stage
    return Summary(
        temperature=reasons.value("temperature", state.temperature if state else None, NO_LAYER),
        reduced_temperature=reasons.value(
            "reduced_temperature", summing.reduced_temperature if summing else None, NO_SUM
        ),
        transition_temperature=reasons.value(
            "transition_temperature", first.temperature if first else None, _no_first(layers, first)
        ),
        refresh_temperature=reasons.value(
            "refresh_temperature",
            refresh.temperature if refresh else None,
            (refresh.reason if refresh else None)
            or (NOT_IN_BASE if measurement.comparison else NO_BASE),
        ),
        order=reasons.value(
            "order", state.order if state else None, NO_ENTROPY if layers else NO_LAYER
        ),
        work_efficiency=reasons.value("work_efficiency", engine.efficiency, no_stage),
        engine_type=engine.type,
        engine_shares=dict(engine.shares),
        carnot_bound=reasons.value("carnot_bound", carnot, no_stage),
        bits_per_parameter=reasons.value(
            "bits_per_parameter",
            sum(each.tally.bits * each.tally.count for each in layers) / count if count else None,
            NO_LAYER,
        ),
        sparsity=reasons.value(
            "sparsity",
            sum(each.tally.zeros for each in layers) / count if count else None,
            NO_LAYER,
        ),
        reasons=reasons,
    )


def _whole(layers: Sequence[LayerMeasurement], origin: str) -> Transition | None:
    refresh = origin != "initialisation"
    pairs = [
        (each.state.parameters, found)
        for each in layers
        if each.state and (found := each.refresh if refresh else each.transition)
    ]
    return network_transition(pairs, origin)


def _no_first(layers: Sequence[LayerMeasurement], whole: Transition | None) -> str:
    if not layers:
        return NO_LAYER
    if whole is not None:
        return whole.reason or ""
    known = [
        each.layer.initialisation_reason for each in layers if each.layer.initialisation_reason
    ]
    return known[0] if known else NO_ENTROPY


def _no_stage(layers: Sequence[LayerMeasurement]) -> str:
    reasons = [each.stage_reason for each in layers if each.layer.engine and each.stage_reason]
    if reasons:
        return reasons[0]
    return "no layer is followed by an activation" if layers else NO_LAYER


def _layer(found: LayerMeasurement, measurement: Measurement) -> LayerRecord:
    layer, tally, state = found.layer, found.tally, found.state
    reasons = Reasons(probe=NOT_PROBED)
    if found.change is None:
        reasons["change"] = NO_BASE
    no_entropy = tally.entropy_reason or NO_DEGREES
    has_values = tally.moments.count > 0
    initialisation = layer.initialisation
    if initialisation is None:
        reasons["initialisation"] = layer.initialisation_reason or "it is not known"
    if layer.depth is None:
        reasons["depth"] = "its name gives no block"
    engine = _engine(found)
    if engine is None:
        reasons["engine"] = NOT_AN_ENGINE
    return LayerRecord(
        name=layer.name,
        tensor=layer.tensor,
        role=layer.role.value,
        depth=layer.depth,
        shape=layer.shape,
        dtype=found.tensor.dtype.label,
        parameters=tally.count,
        temperature=reasons.value("temperature", state.temperature if state else None, NO_DEGREES),
        reduced_temperature=reasons.value(
            "reduced_temperature", state.reduced_temperature if state else None, NO_DEGREES
        ),
        entropic_temperature=reasons.value(
            "entropic_temperature", state.entropic_temperature if state else None, no_entropy
        ),
        entropy=reasons.value(
            "entropy", tally.entropy.value if tally.entropy else None, no_entropy
        ),
        entropy_error=reasons.value(
            "entropy_error", tally.entropy.error if tally.entropy else None, no_entropy
        ),
        order=reasons.value("order", state.order if state else None, no_entropy),
        transition_temperature=reasons.value(
            "transition_temperature",
            found.transition.temperature if found.transition else None,
            _no_transition(found, no_entropy),
        ),
        refresh_temperature=reasons.value(
            "refresh_temperature",
            found.refresh.temperature if found.refresh else None,
            (found.refresh and found.refresh.reason)
            or (NOT_IN_BASE if measurement.comparison else NO_BASE),
        ),
        sparsity=tally.zeros / tally.count,
        bits_per_parameter=tally.bits,
        mean=reasons.value("mean", tally.moments.mean if has_values else None, NO_DEGREES),
        minimum=reasons.value("minimum", tally.moments.minimum if has_values else None, NO_DEGREES),
        maximum=reasons.value("maximum", tally.moments.maximum if has_values else None, NO_DEGREES),
        kurtosis=reasons.value("kurtosis", tally.moments.kurtosis, "its entries do not vary"),
        non_finite=tally.nan + tally.infinite,
        initialisation=_initialisation(initialisation),
        engine=engine,
        probe=None,
        change=found.change,
        digest=found.digest,
        reasons=reasons,
    )


def _initialisation(start: Initialisation | None) -> InitialisationRecord | None:
    return InitialisationRecord(start.family, start.variance, start.source) if start else None


def _no_transition(found: LayerMeasurement, no_entropy: str) -> str:
    if found.transition is not None:
        return found.transition.reason or ""
    return found.layer.initialisation_reason or no_entropy


def _engine(found: LayerMeasurement) -> Engine | None:
    if not found.layer.engine:
        return None
    reasons = Reasons()
    stage, reason = found.stage, found.stage_reason or ""
    if found.layer.activation is None:
        reasons["activation"] = found.layer.activation_reason or reason
    if stage is None:
        reasons["type"] = reason
    return Engine(
        activation=found.layer.activation,
        type=stage.type if stage else None,
        heat=reasons.value("heat", stage.heat if stage else None, reason),
        work=reasons.value("work", stage.work if stage else None, reason),
        efficiency=reasons.value(
            "efficiency", stage.efficiency if stage else None, reason or "it absorbs no heat"
        ),
        estimated=True,
        reasons=reasons,
    )


def _coverage(measurement: Measurement) -> Coverage:
    checkpoint, anatomy = measurement.checkpoint, measurement.anatomy
    sizes = {tensor.name: tensor.size for tensor in checkpoint.tensors}
    total = sum(size for name, size in sizes.items() if name not in anatomy.tied)

    def item(reason: str, names: Sequence[str], parameters: int) -> CoverageItem:
        percent = 100 * parameters / total if total else 0.0
        return CoverageItem(reason, len(names), parameters, percent)

    def grouped(pairs: Iterable[tuple[str, str]]) -> tuple[CoverageItem, ...]:
        names: dict[str, list[str]] = {}
        for reason, name in pairs:
            names.setdefault(reason, []).append(name)
        return tuple(
            item(reason, group, sum(sizes[name] for name in group))
            for reason, group in sorted(names.items())
        )

    analysed = sorted({each.layer.tensor for each in measurement.layers})
    recorded = grouped((each.reason, each.tensor) for each in anatomy.recorded)
    tied = [name for name in anatomy.tied if name in sizes]
    if tied:
        recorded += (item("tied to another tensor and counted there", tied, 0),)
    return Coverage(
        parameters=total,
        analysed=item("weight matrices", analysed, sum(sizes[name] for name in analysed)),
        recorded=recorded,
        skipped=grouped((each.reason, each.tensor) for each in anatomy.not_analysed),
    )

"""Writes the card: from a measurement and its findings to the published record.

Every number that cannot be given becomes None with its reason. Nothing is measured here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

import xxhash

from thermoscan._version import __version__
from thermoscan.card import (
    CARD_VERSION,
    EVERY_BYTE,
    SAMPLE_ONLY,
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
    NotLookedFor,
    OtherFile,
)
from thermoscan.card_spectra import NO_SPECTRA, SpectraSummary
from thermoscan.reasons import Reasons
from thermoscan.scanner.experts import expert_spreads
from thermoscan.scanner.measurement import LayerMeasurement, Measurement
from thermoscan.scanner.stages import NOT_AN_ENGINE
from thermoscan.scanner.summary import NO_BASE, NOT_IN_BASE, summary_of
from thermoscan.theory.initialisation import Initialisation
from thermoscan.theory.jackknife import Interval

TENSOR_DIGESTS = "xxh3-128/tensors"
"""A file's digest: xxh3-128 over the 16-byte digests of its tensors, in the order of the file."""

NOT_PROBED = "the model was not run on data"
NO_DEGREES = "it has no finite entry that is not zero, or entries beyond 1e75"
TOO_FEW = "too few of its blocks that were read hold an entry that is finite and not zero"
FARTHEST = "it depends on the farthest entries, which a sample misses"

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

_SAMPLED = (
    "Figures are estimated from random blocks, and intervals follow from how these differ: a few "
    "entries of great energy that no block holds, and no vector beside the layer shows, are not "
    "allowed for."
)

_ZERO_IN_SPECTRA = "Entries that are not finite count as zero in the spectra."
_SIDE_SAMPLED = (
    "Where both sides of a matrix are longer than {most}, its spectrum is of {most} rows or "
    "columns drawn at random."
)


def card_of(
    measurement: Measurement,
    findings: Sequence[Finding],
    not_looked_for: Sequence[NotLookedFor],
    sha256: Mapping[str, str],
) -> Card:
    """Returns the card of a measured checkpoint.

    Args:
        measurement: Everything that was measured.
        findings: What a person should know, in the order to show them.
        not_looked_for: Kinds of finding that were not looked for.
        sha256: Hexadecimal sha256 by file name, for the files whose bytes were digested once more.
    """
    checkpoint = measurement.checkpoint
    return Card(
        schema=SCHEMA_URL,
        version=CARD_VERSION,
        generator=f"thermoscan {__version__}",
        model=_model(measurement, sha256),
        sampling=measurement.sampling,
        summary=summary_of(measurement),
        layers=tuple(_layer(each, measurement) for each in measurement.layers),
        experts=expert_spreads(measurement.layers),
        spectra=measurement.spectra,
        probe=None,
        comparison=measurement.comparison,
        findings=tuple(findings),
        not_looked_for=tuple(not_looked_for),
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
        reasons={"probe": NOT_PROBED}
        | ({} if measurement.comparison else {"comparison": NO_BASE})
        | ({} if measurement.spectra else {"spectra": NO_SPECTRA})
        | ({} if measurement.sampling else {"sampling": EVERY_BYTE}),
    )


def _assumptions(measurement: Measurement) -> Iterable[str]:
    if any(each.stage for each in measurement.layers):
        yield _ESTIMATED
    if any(each.stage and each.layer.following for each in measurement.layers):
        yield _NORMALISED
    if any(each.tensor.dtype.itemsize >= 4 for each in measurement.layers):
        yield _UPPER_BITS
    if measurement.sampling is not None:
        yield _SAMPLED
    if measurement.spectra is not None:
        yield from _of_spectra(measurement, measurement.spectra)


def _of_spectra(measurement: Measurement, spectra: SpectraSummary) -> Iterable[str]:
    if any(each.tally.nan or each.tally.infinite for each in measurement.layers):
        yield _ZERO_IN_SPECTRA
    if spectra.sampled:
        yield _SIDE_SAMPLED.format(most=spectra.max_side)


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
            _file(each.name, each.size, _digest(each.name, each.sha256, measurement, sha256))
            for each in scanned
        ),
        reasons=reasons,
    )


def _file(name: str, size: int, digest: Digest | None) -> ModelFile:
    return ModelFile(name, size, digest, {} if digest else {"digest": SAMPLE_ONLY})


def _digest(
    name: str, stated: str | None, measurement: Measurement, sha256: Mapping[str, str]
) -> Digest | None:
    computed = sha256.get(name) or stated
    if computed:
        return Digest("sha256", computed)
    if measurement.sampling is not None:
        return None
    tensors = [tensor for tensor in measurement.checkpoint.tensors if tensor.file == name]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.name))
    content = b"".join(bytes.fromhex(measurement.digests[tensor.name]) for tensor in tensors)
    return Digest(TENSOR_DIGESTS, xxhash.xxh3_128_hexdigest(content))


def _layer(found: LayerMeasurement, measurement: Measurement) -> LayerRecord:
    layer, tally, state = found.layer, found.tally, found.state
    reasons = Reasons(probe=NOT_PROBED)
    if found.change is None:
        reasons["change"] = NO_BASE
    no_degrees = TOO_FEW if found.sample else NO_DEGREES
    no_entropy = tally.entropy_reason or no_degrees
    moments = _moments(found, reasons)
    if found.spectra is None:
        reasons["spectra"] = NO_SPECTRA
    if found.digest is None:
        reasons["digest"] = SAMPLE_ONLY
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
        temperature=reasons.value("temperature", state.temperature if state else None, no_degrees),
        reduced_temperature=reasons.value(
            "reduced_temperature", state.reduced_temperature if state else None, no_degrees
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
        mean=moments["mean"],
        minimum=moments["minimum"],
        maximum=moments["maximum"],
        kurtosis=moments["kurtosis"],
        non_finite=tally.nan + tally.infinite,
        initialisation=_initialisation(initialisation),
        engine=engine,
        probe=None,
        change=found.change,
        spectra=found.spectra,
        digest=found.digest,
        intervals=_intervals(found, LayerRecord),
        reasons=reasons,
    )


def _moments(found: LayerMeasurement, reasons: Reasons) -> dict[str, float | None]:
    """Mean, extremes and kurtosis; of a sample the mean alone says something of the whole."""
    moments = found.tally.moments
    none = NO_DEGREES if found.sample is None else TOO_FEW
    extremes = {"minimum": moments.minimum, "maximum": moments.maximum}
    values: dict[str, float | None] = {"mean": moments.mean, **extremes} if moments.count else {}
    why = dict.fromkeys(("mean", *extremes), none) | {"kurtosis": "its entries do not vary"}
    values["kurtosis"] = moments.kurtosis
    if found.sample is not None:
        values = {"mean": values.get("mean")}
        why |= {**dict.fromkeys(extremes, SAMPLE_ONLY), "kurtosis": FARTHEST}
    return {name: reasons.value(name, values.get(name), each) for name, each in why.items()}


def _intervals(found: LayerMeasurement, record: type) -> dict[str, Interval]:
    """The intervals of a layer's figures that are fields of the record."""
    known = found.sample.intervals if found.sample else {}
    names = {each.name for each in fields(record)}
    return {name: each for name, each in known.items() if name in names}


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
        intervals=_intervals(found, Engine),
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

"""From a result to rows of the tables, by the names of `thermoscan.catalogue.schema`; no database.

Numbers are the card's own, to the last bit: its JSON rounds them to nine digits.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from thermoscan._version import __version__
from thermoscan.batch.tasks import Result
from thermoscan.card import Card, Digest, LayerRecord
from thermoscan.catalogue.index import profile_of, structure_of
from thermoscan.catalogue.types import storable

Row = dict[str, Any]

_SUMMARY = (
    "temperature",
    "reduced_temperature",
    "transition_temperature",
    "refresh_temperature",
    "order",
    "work_efficiency",
    "engine_type",
    "carnot_bound",
    "bits_per_parameter",
    "sparsity",
)
_COMPARISON = (
    "base",
    "base_revision",
    "verdict",
    "energy_change",
    "entropy_change",
    "distance",
    "cosine",
    "kept",
)
_LAYER = (
    "name",
    "role",
    "depth",
    "dtype",
    "parameters",
    "temperature",
    "reduced_temperature",
    "entropic_temperature",
    "entropy",
    "entropy_error",
    "order",
    "transition_temperature",
    "refresh_temperature",
    "sparsity",
    "bits_per_parameter",
    "mean",
    "minimum",
    "maximum",
    "kurtosis",
    "non_finite",
    "digest",
)
_ENGINE = ("activation", "type", "heat", "work", "efficiency")
_CHANGE = (
    "status",
    "energy_change",
    "entropy_change",
    "distance",
    "cosine",
    "kept",
    "rank",
)
_SPECTRA = ("alpha", "alpha_weighted", "log_alpha_norm", "stable_rank", "ordered_fraction")
_SPECTRUM = ("stable_rank", "effective_rank")
_BULK = ("ordered_fraction", "outliers")
_ENGINE_COLUMNS = tuple(f"engine_{name}" for name in _ENGINE)
_CHANGE_COLUMNS = tuple(f"change_{name}" for name in _CHANGE)


def digest_of_name(name: str) -> bytes:
    """Returns what a model is looked up by."""
    return hashlib.sha256(storable(name).encode()).digest()


def revision_row(card: Card, key: str | None) -> Row:
    """Returns the revision that `card` is of.

    Args:
        card: Of the scan.
        key: Of the result.
    """
    model = card.model
    return {
        "identity": _identity(card, key),
        "commit": model.revision,
        "bytes": model.bytes,
        "parameters": model.parameters,
        "architecture": model.architecture,
        "structure": structure_of(card),
        "dtype": max(sorted(model.dtypes), key=lambda each: model.dtypes[each], default=None),
        "dtypes": dict(model.dtypes),
    }


def _identity(card: Card, key: str | None) -> str:
    if card.model.revision is not None:
        return f"commit:{card.model.revision}"
    files = sorted((file.name, file.bytes, _written(file.digest)) for file in card.model.files)
    if all(digest is not None for _, _, digest in files):
        return f"files:{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"
    return f"key:{key or ''}"


def scan_row(
    result: Result, when: datetime, card_path: str | None, options: Mapping[str, object]
) -> Row:
    """Returns the scan, without its keys in the other tables.

    Every column is there, so that nothing of a former scan stays.
    """
    card = result.card
    return {
        "status": result.status,
        "code": result.code,
        "reason": result.reason,
        "key": result.key,
        "options": dict(options),
        "scanner": __version__,
        "at": when,
        "seconds": result.seconds,
        "card": card_path,
        **_summary(card),
        **_attributes(card.comparison if card else None, _COMPARISON),
        "layers": len(card.layers) if card else 0,
        **_counts(card),
        "profile": profile_of(card) if card else (),
        **_attributes(card.spectra if card else None, _SPECTRA),
    }


def _summary(card: Card | None) -> Row:
    sampling = card.sampling if card else None
    summary = card.summary if card else None
    return {
        "sampled": sampling is not None,
        "sample_share": sampling.share if sampling else None,
        **_attributes(summary, _SUMMARY),
        "engine_shares": dict(summary.engine_shares) if summary else None,
        "intervals": dict(summary.intervals) if sampling and summary else None,
    }


def _counts(card: Card | None) -> Row:
    findings = card.findings if card else ()
    numbers = Counter(each.severity for each in findings)
    worst = next((severity for severity in ("error", "warning") if numbers[severity]), None)
    return {
        "errors": numbers["error"],
        "warnings": numbers["warning"],
        "infos": numbers["info"],
        "worst": sorted({each.code for each in findings if each.severity == worst}),
    }


def layer_rows(card: Card, scan_id: int) -> Iterator[Row]:
    """Yields the layers of `card`."""
    for position, layer in enumerate(card.layers):
        yield {"scan_id": scan_id, "position": position, **_layer(layer)}


def _layer(layer: LayerRecord) -> Row:
    rows, columns = layer.shape
    spectrum = layer.spectra.counted if layer.spectra else None
    return {
        **_attributes(layer, _LAYER),
        "rows": rows,
        "columns": columns,
        **_attributes(layer.engine, _ENGINE, _ENGINE_COLUMNS),
        **_attributes(layer.change, _CHANGE, _CHANGE_COLUMNS),
        **_attributes(spectrum, _SPECTRUM),
        "alpha": spectrum.tail.alpha if spectrum and spectrum.tail else None,
        **_attributes(spectrum.bulk if spectrum else None, _BULK),
    }


def finding_rows(card: Card, scan_id: int) -> Iterator[Row]:
    """Yields the findings of `card`. What a finding means and what to do is for the card to say."""
    names = ("code", "severity", "layer", "message")
    for position, finding in enumerate(card.findings):
        yield {
            "scan_id": scan_id,
            "position": position,
            **_attributes(finding, names),
            "evidence": dict(finding.evidence),
        }


def file_rows(card: Card, scan_id: int) -> Iterator[Row]:
    """Yields the weight files of `card`."""
    for position, file in enumerate(card.model.files):
        yield {
            "scan_id": scan_id,
            "position": position,
            "name": file.name,
            "bytes": file.bytes,
            "digest": _written(file.digest),
        }


def _written(digest: Digest | None) -> str | None:
    return None if digest is None else digest.text


def _attributes(
    record: object, names: tuple[str, ...], columns: tuple[str, ...] | None = None
) -> Row:
    """Returns what `record` has of these names, under them or as `columns`.

    None for each where there is no record.
    """
    if record is None:
        return dict.fromkeys(columns or names)
    return dict(zip(columns or names, _getter(*names)(record), strict=True))


_getter = cache(attrgetter)

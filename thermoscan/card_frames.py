"""A card as data frames: its layers, and their spectra.

Takes the frozen values of `thermoscan.card`, gives pandas frames with flat columns. Reasons are
left out, None becomes a missing value. Both frames call a layer by its `name`, by which they join.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from thermoscan.card import (
    Card,
    Engine,
    InitialisationRecord,
    LayerChange,
    LayerProbe,
    LayerRecord,
)
from thermoscan.card_spectra import (
    Bulk,
    PowerLaw,
    ShuffledSpectrum,
    SpectralChange,
    SpectralNull,
    Spectrum,
    TruncatedPowerLaw,
)

if TYPE_CHECKING:
    import pandas

_APART = ("reasons", "intervals")
_LAYER_PARTS: Mapping[str, type[Any]] = {
    "engine": Engine,
    "initialisation": InitialisationRecord,
    "probe": LayerProbe,
    "change": LayerChange,
}
_SPECTRUM_PARTS: Mapping[str, type[Any]] = {
    "tail": PowerLaw,
    "truncated": TruncatedPowerLaw,
    "bulk": Bulk,
    "null": SpectralNull,
    "shuffled": ShuffledSpectrum,
    "change": SpectralChange,
}
# WeightWatcher's names where they are others than ours.
_THEIRS = {
    "rows": "N",
    "columns": "M",
    "detx_num": "detX_num",
    "detx_val": "detX_val",
    "tail_distance": "D",
    "tail_spikes": "num_pl_spikes",
}


def layers_frame(card: Card) -> pandas.DataFrame:
    """Returns the layers of `card` as a data frame, a row each.

    The fields of a layer's engine, initialisation, probe and change become columns ``engine_...``
    and so on; an interval becomes the columns ``..._low`` and ``..._high``. Of its spectra the
    columns ``spectra_...`` have a few figures, those of the slices where it is a convolution.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas  # noqa: PLC0415 - heavy and optional

    return pandas.DataFrame([_layer_row(layer) for layer in card.layers])


def spectra_frame(card: Card) -> pandas.DataFrame:
    """Returns the spectra of `card` as a data frame: a row each, in the order of the layers.

    `name` is the layer's, `kind` ``"matrix"`` or ``"slices"``, and `counted` says whether the row
    stands for its layer in the means of the summary. Figures that WeightWatcher has go by its
    names, N, M, Q and D among them. Of the parts that it has not, columns begin with the part's
    name: ``truncated_``, ``bulk_``, ``null_``, ``shuffled_``, ``change_``.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas  # noqa: PLC0415 - heavy and optional

    paths = _spectrum_paths()
    rows = [
        {
            "name": layer.name,
            "kind": kind,
            "counted": spectrum is spectra.counted,
            "Q": spectrum.rows / spectrum.columns,
            **{column: _at(spectrum, path) for column, path in paths.items()},
        }
        for layer in card.layers
        if (spectra := layer.spectra)
        for kind, spectrum in (("matrix", spectra.matrix), ("slices", spectra.slices))
        if spectrum
    ]
    return pandas.DataFrame(rows, columns=["name", "kind", "counted", "Q", *paths])


def _layer_row(layer: LayerRecord) -> dict[str, Any]:
    apart = (*_LAYER_PARTS, *_APART, "spectra")
    row = {key: value for key, value in vars(layer).items() if key not in apart}
    for name, kind in _LAYER_PARTS.items():
        row |= _part(f"{name}_", kind, getattr(layer, name))
    engine = layer.engine.intervals if layer.engine else {}
    intervals = {**layer.intervals, **{f"engine_{name}": each for name, each in engine.items()}}
    for name, (low, high) in intervals.items():
        row |= {f"{name}_low": low, f"{name}_high": high}
    spectrum = layer.spectra.counted if layer.spectra else None
    tail, bulk = (spectrum.tail, spectrum.bulk) if spectrum else (None, None)
    return {
        **row,
        "spectra_alpha": getattr(tail, "alpha", None),
        "spectra_stable_rank": getattr(spectrum, "stable_rank", None),
        "spectra_effective_rank": getattr(spectrum, "effective_rank", None),
        "spectra_ordered_fraction": getattr(bulk, "ordered_fraction", None),
        "spectra_outliers": getattr(bulk, "outliers", None),
    }


def _part(prefix: str, kind: type[Any], part: Any) -> dict[str, Any]:
    """The fields of a part as columns; of one that is not there missing values."""
    names = (each.name for each in fields(kind) if each.name not in _APART)
    return {prefix + name: getattr(part, name, None) for name in names}


def _spectrum_paths() -> dict[str, tuple[str, ...]]:
    """Where a spectrum has each column; the fields of the power law have no prefix."""
    apart = (*_SPECTRUM_PARTS, *_APART)
    own = [each.name for each in fields(Spectrum) if each.name not in apart]
    paths: dict[str, tuple[str, ...]] = {_THEIRS.get(name, name): (name,) for name in own}
    for part, kind in _SPECTRUM_PARTS.items():
        for name in (each.name for each in fields(kind) if each.name not in _APART):
            plain = name if part == "tail" else f"{part}_{name}"
            paths[_THEIRS.get(f"{part}_{name}", plain)] = (part, name)
    return paths


def _at(spectrum: Spectrum, path: tuple[str, ...]) -> Any:
    value: Any = spectrum
    for name in path:
        value = getattr(value, name, None)
    return value

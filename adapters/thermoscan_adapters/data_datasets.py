"""Reads a dataset that `datasets` saved to disk (``Dataset.save_to_disk``).

Takes a folder; gives `Examples` from its columns ``text`` or ``image``, and ``label``. Of several
splits the first of test, validation and train is read. Only Arrow tables are read: there is no
loading script, and none would be run.

Error codes: ``dataset-unreadable``, ``dataset-columns``, ``data-too-large``, ``datasets-missing``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thermoscan.errors import DataError
from thermoscan.limits import DataLimits, Limits
from thermoscan.probe.subject import Examples
from thermoscan_adapters.data_pictures import decoded
from thermoscan_adapters.data_texts import examples
from thermoscan_adapters.files import find_file
from thermoscan_adapters.strict_json import parse_object

_SPLITS = ("test", "validation", "train")
_ONE, _SEVERAL, _STATE = "dataset_info.json", "dataset_dict.json", "state.json"


def is_dataset(folder: Path) -> bool:
    """Says whether `folder` is a saved dataset, or one of several splits."""
    return (folder / _ONE).exists() or (folder / _SEVERAL).exists()


def read_dataset(folder: Path, inputs: int, limits: DataLimits) -> Examples:
    """Returns the first `inputs` rows.

    Raises:
        DataError: See the module for the codes.
        SourceError: A file of it cannot be opened.
        CheckpointError: One leads out of the folder, or is no JSON.
    """
    if importlib.util.find_spec("datasets") is None:
        reason = "datasets is needed to read it: pip install 'thermoscan[torch]'"
        raise DataError("datasets-missing", reason, file=folder.name)
    place = folder.resolve()
    split = _split(place)
    _check_files(split, limits)
    name = place.name if split == place else f"{place.name}/{split.name}"
    rows = _rows(split, name, inputs)
    if rows and isinstance(rows[0].get("text"), str):
        return examples(name, [(row["text"], row["label"]) for row in rows])
    if rows and isinstance(rows[0].get("image"), dict):
        return _pictures(name, rows, limits)
    raise DataError("dataset-columns", "it has no row with a column text or image", file=name)


def _split(folder: Path) -> Path:
    if (folder / _ONE).exists():
        return folder
    names = [name for name in _SPLITS if (folder / name / _ONE).exists()]
    if not names:
        reason = f"it has no split called {', '.join(_SPLITS)}; name one of its folders"
        raise DataError("dataset-columns", reason, file=folder.name)
    return folder / names[0]


def _check_files(folder: Path, limits: DataLimits) -> None:
    """Makes sure that its files are files, and not too large, before they are opened."""
    size = 0
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are what is wanted
        size += find_file(folder, name).size
        if size > limits.file_bytes:
            reason = f"it has more bytes than the limit of {limits.file_bytes}"
            raise DataError("data-too-large", reason, file=folder.name)
    _check_state(folder, limits)


def _check_state(folder: Path, limits: DataLimits) -> None:
    """Refuses a dataset that names tables outside its folder: `datasets` would read them."""
    file = find_file(folder, _STATE)
    if file.size > limits.line_bytes:
        raise DataError("data-too-large", f"{_STATE} is too long", file=folder.name)
    content = file.read_at(0, file.size)
    tables = parse_object(content, Limits(), prefix="dataset", file=_STATE).get("_data_files")
    names = [each.get("filename") if isinstance(each, dict) else None for each in tables or ()]
    if any(not isinstance(name, str) or name != os.path.basename(name) for name in names):  # noqa: PTH119
        reason = "it names a table that is not a file of its own"
        raise DataError("dataset-unreadable", reason, file=folder.name)


def _rows(folder: Path, name: str, inputs: int) -> list[dict[str, Any]]:
    """The first rows, with the label as its name and a picture as it was packed."""
    import datasets  # noqa: PLC0415 - takes a second

    try:
        table = datasets.load_from_disk(str(folder), keep_in_memory=True)
        chosen = [each for each in ("text", "image", "label") if each in table.column_names]
        table = table.select_columns(chosen).select(range(min(inputs, len(table))))
        classes = getattr(table.features.get("label"), "names", None)
        if "image" in chosen:
            table = table.cast_column("image", datasets.Image(decode=False))
        return [dict(_labelled(row, classes)) for row in table]
    except Exception as error:  # what it raises has no common root
        reason = f"datasets cannot read it ({type(error).__name__})"
        raise DataError("dataset-unreadable", reason, file=name) from None


def _labelled(row: dict[str, Any], classes: list[str] | None) -> Iterator[tuple[str, Any]]:
    label = row.pop("label", None)
    yield from row.items()
    if label is not None and classes:
        label = classes[label]
    yield "label", None if label is None else str(label)


def _pictures(name: str, rows: list[dict[str, Any]], limits: DataLimits) -> Examples:
    pictures = []
    for index, row in enumerate(rows):
        content = row["image"].get("bytes")
        where = f"{name}, row {index + 1}"
        if not isinstance(content, bytes) or len(content) > limits.image_bytes:
            reason = "its picture is not packed into the dataset, or too large"
            raise DataError("picture-unreadable", reason, file=where)
        pictures.append(decoded(content, where, limits))
    labels = tuple(row["label"] for row in rows if row["label"] is not None)
    if labels and len(labels) != len(rows):
        raise DataError("label-missing", "some of its rows have a label and some none", file=name)
    return Examples(name, pictures=tuple(pictures), labels=labels)

"""Reads a folder of pictures; those in sub-folders have the sub-folder's name as their label.

Takes a folder; gives `Examples`. Pictures are taken in the order of their names, one of each label
in turn, so that the first few are of all labels.

Error codes: ``data-empty``, ``folder-too-large``, ``picture-too-large``, ``picture-unreadable``.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from thermoscan.errors import DataError
from thermoscan.limits import DataLimits
from thermoscan.probe.subject import Examples
from thermoscan_adapters.files import find_file

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm"})
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")


def read_pictures(folder: Path, inputs: int, limits: DataLimits) -> Examples:
    """Returns the first `inputs` pictures below `folder`.

    Raises:
        DataError: See the module for the codes.
        SourceError: A file cannot be opened.
        UnsafeError: One leads out of the folder.
    """
    by_label = _names(folder, limits)
    labelled = [label for label in by_label if label]
    groups = [[(label, name) for name in by_label[label]] for label in labelled or by_label]
    turns = (each for turn in zip_longest(*groups) for each in turn if each is not None)
    chosen = list(islice(turns, inputs))
    if not chosen:
        raise DataError(
            "data-empty", "it holds no picture, and no dataset that was saved", file=folder.name
        )
    pictures = tuple(picture(folder, name, limits) for _, name in chosen)
    labels = tuple(label for label, _ in chosen) if labelled else ()
    return Examples(folder.resolve().name, pictures=pictures, labels=labels)


def picture(folder: Path, name: str, limits: DataLimits) -> Image:
    """Returns the picture in one file, decoded."""
    file = find_file(folder, name)
    if file.size > limits.image_bytes:
        raise _too_large(f"{limits.image_bytes} bytes", name)
    return decoded(file.read_at(0, file.size), name, limits)


def decoded(content: bytes, name: str, limits: DataLimits) -> Image:
    """Returns the picture that `content` is; `name` is for errors."""
    from PIL import Image  # noqa: PLC0415 - only needed for pictures

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = Image.open(io.BytesIO(content), formats=_FORMATS)
            if opened.width * opened.height > limits.image_pixels:
                raise _too_large(f"{limits.image_pixels} pixels", name)
            return opened.convert("RGB")
    except DataError:
        raise
    except Exception as error:  # what the decoders raise has no common root
        reason = f"it cannot be decoded ({type(error).__name__})"
        raise DataError("picture-unreadable", reason, file=name) from None


def _names(folder: Path, limits: DataLimits) -> dict[str, list[str]]:
    """Label -> sorted names of its pictures, relative to `folder`; "" for those without one."""
    found: dict[str, list[str]] = {}
    left = limits.folder_entries
    for name, is_folder in _entries(folder, left):
        left -= 1
        if not is_folder:
            found.setdefault("", []).append(name)
            continue
        for inner, deeper in _entries(folder / name, left):
            left -= 1
            if not deeper:
                found.setdefault(name, []).append(f"{name}/{inner}")
    return {
        label: pictures
        for label, names in sorted(found.items())
        if (pictures := sorted(n for n in names if Path(n).suffix.lower() in _SUFFIXES))
    }


def _entries(folder: Path, most: int) -> Iterator[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        for index, entry in enumerate(entries):
            if index >= most:
                reason = "it holds more files than the limit"
                raise DataError("folder-too-large", reason, file=folder.name)
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _too_large(limit: str, name: str) -> DataError:
    return DataError("picture-too-large", f"it has more than the limit of {limit}", file=name)

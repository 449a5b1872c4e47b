"""Reads data to run a model on: texts, rows, datasets saved to disk, folders of pictures.

Takes a path that a user gave; gives `Examples`. The file's suffix, or what is in the folder, says
how it is read; nothing is downloaded, and no loading script is ever run.
"""

from __future__ import annotations

import os
from pathlib import Path

from thermoscan.limits import DataLimits
from thermoscan.probe.subject import Examples
from thermoscan_adapters.data_datasets import is_dataset, read_dataset
from thermoscan_adapters.data_pictures import read_pictures
from thermoscan_adapters.data_texts import READERS, read_texts


class DataAdapter:
    """Reads files and folders. See `thermoscan.probe.subject.DataReader`."""

    def claims(self, path: str) -> bool:
        """Says whether `path` is a folder, or its suffix one of those that are read."""
        place = _place(path)
        return place.is_dir() or place.suffix.lower() in READERS

    def read(self, path: str, inputs: int, limits: DataLimits) -> Examples:
        """Returns the first `inputs` examples.

        Raises:
            DataError: See the modules that this one imports for the codes.
        """
        place = _place(path)
        if not place.is_dir():
            return read_texts(place, inputs, limits)
        if is_dataset(place):
            return read_dataset(place, inputs, limits)
        return read_pictures(place, inputs, limits)


def _place(path: str) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises without a home

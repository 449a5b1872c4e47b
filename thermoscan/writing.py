"""Names of files that no file system takes for anything else, and files that are whole or absent.

Takes any model's name, hostile as it may be; gives the name of a folder. Takes text; gives a file.
"""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from thermoscan.errors import OptionError

_LONGEST_NAME = 100
_UNFINISHED = ".thermoscan-"
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_name(model_id: str) -> str:
    """Returns a folder name for a model that no file system and no reader takes for anything else.

    >>> folder_name("org/model")
    'org--model'
    >>> folder_name("../..")
    'model'
    >>> folder_name("CON")
    'CON_'
    """
    plain = unicodedata.normalize("NFKC", model_id).replace("/", "--").replace("\\", "--")
    plain = re.sub(r"[^\w.\-]+", "_", plain, flags=re.ASCII)
    plain = re.sub(r"\.{2,}", "", plain).strip(".-_ ")[:_LONGEST_NAME]
    if not plain:
        return "model"
    return f"{plain}_" if _RESERVED.fullmatch(plain) else plain


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all; into a pipe or a device as it comes.

    Raises:
        OptionError: ``output-unwritable``: no file can be made there.
    """
    with whole_file(path) as file:
        file.write(text.encode())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Gives a file to write to, which is at `path` once the block has ended, whole, or not at all.

    A pipe or a device is written to as it comes.

    Raises:
        OptionError: ``output-unwritable``: no file can be made there.
    """
    with _output_errors(path):
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def sweep(folder: Path) -> None:
    """Removes the files that a process was writing in `folder` when it was killed.

    Raises:
        OptionError: ``output-unwritable``: one cannot be removed.
    """
    for old in folder.glob(f"{_UNFINISHED}*"):
        remove_file(old)


def remove_file(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        OptionError: ``output-unwritable``: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        reason = f"it cannot be removed ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(path)) from None


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    """Maps what the system says of a file that cannot be made or filled."""
    try:
        yield
    except OSError as error:
        reason = f"no file can be written there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(path)) from None


def make_folder(folder: Path) -> None:
    """Makes a folder where there is none.

    Raises:
        OptionError: ``output-unwritable``: no folder can be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"no folder can be made there ({error.strerror})"
        raise OptionError("output-unwritable", reason, file=str(folder)) from None

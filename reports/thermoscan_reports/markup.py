"""The one way to markup: Jinja, autoescape always on, undefined names refused; and asset files.

A value becomes markup only through a template, where it is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

from thermoscan.cache import cache_folder

_ASSETS = Path(__file__).parent / "assets"


@cache
def environment() -> Environment:
    """Returns the environment that renders every template of this package.

    Compiled templates are kept: compiling takes longer than rendering a card of 300 layers.
    """
    kept = cache_folder("templates")
    return Environment(
        bytecode_cache=FileSystemBytecodeCache(str(kept)) if kept else None,
        loader=FileSystemLoader(_ASSETS, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def asset(*names: str) -> str:
    """Returns files, joined, without indentation, empty lines and comment lines."""
    text = "".join((_ASSETS / name).read_text("utf-8") for name in names)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def csp_hash(text: str) -> str:
    """Returns the source expression by which a Content-Security-Policy allows exactly `text`."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

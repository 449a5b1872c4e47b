"""Text for Markdown that can be nothing but text: no markup, link or mention, and no cell's end.

A name becomes a code span; characters that no code span can hold, or that a table takes for the end
of a cell, become visible escapes as in `thermoscan.text`. Words are escaped with backslashes; where
a site would link or mention something in them all the same, they become a code span too.
"""

from __future__ import annotations

import re

from thermoscan.text import printable
from thermoscan_reports.numbers import NULL

_IN_CODE = re.compile(r"[`|<>]")
_SPECIAL = re.compile(r"([*_\[\]<>#~|&!])")
# Sites make links, mentions and formulas of these wherever they stand, escaped or not.
_LIVE = re.compile(r"[@`\\$]|://|www\.|mailto:|xmpp:", re.IGNORECASE)


def code(name: str, limit: int = 100) -> str:
    r"""Returns a name as a code span of at most about `limit` characters.

    >>> code("encoder.layer.0.weight"), code("a`|<b>"), code("")
    ('`encoder.layer.0.weight`', '`a\\x60\\x7c\\x3cb\\x3e`', '–')
    """
    shown = _IN_CODE.sub(lambda found: f"\\x{ord(found.group()):02x}", printable(name, limit))
    return f"`{shown}`" if shown.strip() else NULL


def words(text: str, limit: int = 500) -> str:
    r"""Returns a sentence as Markdown.

    >>> words("T* = -0.0021: |w| < 1"), words("see https://example.com")
    ('T\\* = -0.0021: \\|w\\| \\< 1', '`see https://example.com`')
    """
    shown = printable(text, limit)
    return code(text, limit) if _LIVE.search(shown) else _SPECIAL.sub(r"\\\1", shown)

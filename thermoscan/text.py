"""Names that come from a checkpoint are hostile text: this makes them fit to be shown.

Takes any string, including lone surrogates and terminal escapes; gives one printable line of
bounded length. Escaping for HTML or Markdown is the reporter's own job, on top of this.
"""

from __future__ import annotations

import unicodedata

_ELLIPSIS = "…"
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str, limit: int = 200) -> str:
    r"""Returns `text` as one visible line of at most `limit` characters.

    Control, format (so also bidirectional), surrogate, private and unassigned characters become
    visible escapes such as ``\x1b`` or ``\u202e``; a text that is too long loses its middle.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> printable("layer." + "x" * 300, limit=20)
    'layer.xxxx…xxxxxxxxx'
    """
    if len(text) <= limit and text.isprintable():
        return text
    if len(text) > 4 * limit:
        text = text[: 2 * limit] + text[-2 * limit :]
    shown = "".join(_visible(character) for character in text)
    return shorten_middle(shown, limit)


def shorten_middle(text: str, limit: int) -> str:
    """Returns `text` with its middle replaced by an ellipsis where it is longer than `limit`."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head - len(_ELLIPSIS)
    return text[:head] + _ELLIPSIS + text[len(text) - tail :]


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

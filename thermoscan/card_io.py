"""A card as JSON text, and back.

Takes and gives the frozen values of `thermoscan.card`. The text is the same bytes for the same card
on every run and machine: keys in the order of the fields, numbers rounded to nine significant
digits, ASCII only (so that a lone surrogate in a name survives as an escape), a layer or finding
per line. Refuses to write a number that is not finite, and to read what is not exactly a card of
this version or an older one, which `thermoscan.card_versions` brings up to date.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from thermoscan.card import CARD_VERSION, Card
from thermoscan.card_versions import up_to_date
from thermoscan.errors import CardError

# Resolving annotations costs more than building a record from them.
_type_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)
_SIGNIFICANT_DIGITS = 9
_BROKEN_DEPTH = 2


def to_json(card: Card) -> str:
    """Returns `card` as JSON text with a newline at its end.

    Raises:
        CardError: It holds a number that is not finite, or a value that JSON has no word for.
    """
    return _lines(_plain(card, "card"), 0) + "\n"


def from_json(text: str) -> Card:
    """Returns the card that `text` holds; keys and types must be as `to_json` writes them.

    Raises:
        CardError: The text is not JSON, not a card, or a card of a newer version.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CardError("card-not-json", f"not JSON: {error}") from error
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is int and version > CARD_VERSION:
        raise CardError(
            "card-newer-version",
            f"a card of version {version}; this thermoscan reads up to version {CARD_VERSION}",
        )
    if type(version) is not int or version < 1:
        raise CardError("card-malformed", "no card: it has no version")
    card: Card = _build(Card, up_to_date(value, version), "card")
    return card


def missing_reasons(card: Card) -> list[str]:
    """Returns where `card` breaks its null rule: a None without a reason of the same name.

    >>> from thermoscan.card import Engine
    >>> list(_unexplained(Engine("gelu", None, 1.0, 0.5, 0.5, True), "engine"))
    ['engine.type']
    """
    return list(_unexplained(card, "card"))


def _plain(value: Any, where: str) -> Any:
    """Returns `value` as what the json module writes: dict, list, str, int, float, bool, None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CardError(
                "card-not-finite", f"{where} is {value}; a card holds null and a reason"
            )
        # Adding zero turns -0.0, which compares equal to 0.0 but prints otherwise, into 0.0.
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") + 0.0
    if is_dataclass(value):
        return {name: _plain(item, f"{where}.{name}") for name, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise CardError(
        "card-not-plain", f"{where} is a {type(value).__name__}, which JSON cannot hold"
    )


def _lines(value: Any, depth: int) -> str:
    """Breaks the outer objects and lists of objects into lines, what is inside stays on one."""
    outer = isinstance(value, dict) and depth < _BROKEN_DEPTH
    records = isinstance(value, list) and value and isinstance(value[0], dict)
    if not value or not (outer or records):
        return json.dumps(value, allow_nan=False)
    inner = "  " * (depth + 1)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in value.items()]
    else:
        items = [json.dumps(item, allow_nan=False) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(inner + item for item in items)
    return f"{opening}\n{body}\n{'  ' * depth}{closing}"


def _unexplained(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _unexplained(item, f"{where}[{index}]")
    elif is_dataclass(value):
        reasons = getattr(value, "reasons", None)
        for name, item in vars(value).items():
            if item is None and reasons is not None and not reasons.get(name):
                yield f"{where}.{name}"
            yield from _unexplained(item, f"{where}.{name}")


def _build(kind: Any, value: Any, where: str) -> Any:
    """Returns `value`, as the json module read it, as the type `kind`; coerces nothing."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _build_record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _build_union(arguments, value, where)
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(arguments) == len(value):
            pairs = enumerate(zip(arguments, value, strict=True))
            return tuple(_build(item, part, f"{where}[{index}]") for index, (item, part) in pairs)
    if origin is Mapping and isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value) if _fits(value) else _refuse(where, "a number within range")
    if type(value) is kind:
        return value
    return _refuse(where, getattr(kind, "__name__", "list"))


def _build_record(kind: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse(where, "an object")
    hints = _type_hints(kind)
    for key in value:
        if key not in hints:
            raise CardError("card-malformed", f"{where} has the unknown key '{key}'")
    for item in fields(kind):
        if item.name not in value and item.default_factory is MISSING:
            raise CardError("card-malformed", f"{where} lacks '{item.name}'")
    return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})


def _build_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """A union in a card holds at most one object type, and scalars told apart by exact type."""
    if value is None and types.NoneType in kinds:
        return None
    if type(value) in kinds:
        return _build(type(value), value, where)
    (first, *_) = (kind for kind in kinds if kind is not types.NoneType)
    return _build(first, value, where)


def _fits(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _refuse(where: str, expected: str) -> NoReturn:
    raise CardError("card-malformed", f"{where} is not {expected}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

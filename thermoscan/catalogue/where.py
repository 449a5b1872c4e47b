"""The language of ``--where``: from a person's text to a condition of SQLAlchemy.

Takes a text by the grammar in ``where.lark`` and the fields that it may name; gives an expression
in which every value is a bound parameter and every column is one of those fields. No part of the
text reaches a database as SQL.

Logic is SQL's, of three values: a comparison with a value that is missing is unknown, so is the
``not`` of it, and a row is given only where the whole is true. ``is null`` asks for what is
missing.

Refused, with the character where it is: what breaks the grammar; columns that are not there, with
the nearest names; values that a column cannot have; a text that is too long or nested too deep.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, Text, and_, literal, not_, or_

from thermoscan.catalogue.fields import Field, Kind
from thermoscan.catalogue.types import Moment, storable
from thermoscan.errors import CatalogueError
from thermoscan.text import printable

MOST_CHARACTERS = 8_000
"""Of a text: so few that its comparisons, ten characters each, stay below the 1,000 levels to which
SQLite nests an expression."""

MOST_NESTED = 32
"""Parentheses in each other."""

_QUOTED = re.compile(r"'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\"")
_LARGEST = 2**63 - 1

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

_EXPECTED = {
    "OPERATOR": "a comparison (=, !=, <, <=, >, >=, ~, in, between, is null)",
    "COLUMN": "a column",
    "NUMBER": "a value: a number, a quoted text, true or false",
    "TEXT": "a quoted text",
    "_NULL": "null",
    "LPAR": "(",
    "RPAR": ")",
    "_OR": "and, or",
    "_AND": "and",
    "$END": "the end",
}
"""What could stand there, the first that applies being what is said."""


def condition(text: str, fields: Mapping[str, Field], dialect: str) -> ColumnElement[bool]:
    """Returns the condition that a text states.

    Args:
        text: By the grammar; anything at all is either understood or refused.
        fields: Name -> field that it may speak of.
        dialect: ``"sqlite"`` or ``"postgresql"``, which match patterns by different operators.

    Raises:
        CatalogueError: ``where-too-long``, ``where-too-deep``, ``where-syntax``,
            ``where-column``, ``where-value``.
    """
    _check_size(text)
    try:
        tree = _parser().parse(text)
        found: ColumnElement[bool] = _Conditions(fields, dialect).transform(tree)
    except UnexpectedInput as error:
        raise _not_understood(error, text) from None
    except VisitError as error:
        raise error.orig_exc from None
    return found


def unknown_column(code: str, where: str, name: str, fields: Mapping[str, Field]) -> CatalogueError:
    """Returns the error about a column that is not there, which names the nearest ones."""
    folded = name.lower()
    near = get_close_matches(folded, fields, n=3, cutoff=0.6)
    near += [each for each in fields if each.endswith(f".{folded}") and each not in near]
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(fields)}"
    return CatalogueError(code, f"{where}there is no column '{printable(name, 60)}': {hint}")


@cache
def _parser() -> Lark:
    return Lark.open("where.lark", rel_to=__file__, parser="lalr", maybe_placeholders=True)


def _check_size(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        reason = f"the condition has more than {MOST_CHARACTERS:,} characters"
        raise CatalogueError("where-too-long", reason)
    depth = 0
    for each in _QUOTED.sub("", text):
        depth += (each == "(") - (each == ")")
        if depth > MOST_NESTED:
            reason = f"the condition has more than {MOST_NESTED} parentheses in each other"
            raise CatalogueError("where-too-deep", reason)


def _not_understood(error: UnexpectedInput, text: str) -> CatalogueError:
    """Returns the error that says where a text breaks the grammar, and what could stand there."""
    at = len(text)
    allowed: set[str] = set()
    if isinstance(error, UnexpectedCharacters):
        at, allowed = error.pos_in_stream or 0, set(error.allowed)
    elif isinstance(error, UnexpectedToken):
        at = len(text) if error.token.type == "$END" else error.token.start_pos or 0
        allowed = set(error.accepts or error.expected)
    expected = next((said for name, said in _EXPECTED.items() if name in allowed), "something else")
    here = printable(text[at : at + 20], 20)
    met = f"'{here}'" if here else "the end"
    return CatalogueError("where-syntax", f"{_place(at)}{expected} is expected, not {met}")


def _place(at: int) -> str:
    return f"at character {at + 1}: "


class _Conditions(Transformer[Token, ColumnElement[bool]]):
    """Turns the tree of a text into a condition, from the leaves up."""

    def __init__(self, fields: Mapping[str, Field], dialect: str) -> None:
        super().__init__()
        self._fields = fields
        self._dialect = dialect

    def disjunction(self, parts: list[ColumnElement[bool]]) -> ColumnElement[bool]:
        return or_(*parts)

    def conjunction(self, parts: list[ColumnElement[bool]]) -> ColumnElement[bool]:
        return and_(*parts)

    @v_args(inline=True)
    def negation(self, _not: Token, part: ColumnElement[bool]) -> ColumnElement[bool]:
        return not_(part)

    @v_args(inline=True)
    def comparison(self, column: Token, sign: Token, value: Token) -> ColumnElement[bool]:
        field = self._field(column)
        if field.kind is Kind.FLAG and sign[0] in "<>" and sign != "<>":
            raise _wrong(sign, field, "it can only be compared by = and !=")
        found: ColumnElement[bool] = _OPERATORS[sign](field.expression, _bound(value, field))
        return found

    @v_args(inline=True)
    def pattern(self, column: Token, negated: Token | None, text: Token) -> ColumnElement[bool]:
        field = self._field(column)
        if field.kind is not Kind.TEXT:
            raise _wrong(text, field, "only a text matches a pattern")
        glob = _unquoted(text)
        if self._dialect == "sqlite":
            wanted = _text(glob.replace("[", "[[]"))
            matches = field.expression.op("GLOB", is_comparison=True)(wanted)
        else:
            like = re.sub(r"([\\%_])", r"\\\1", glob).replace("*", "%").replace("?", "_")
            matches = field.expression.like(_text(like), escape="\\")
        return not_(matches) if negated else matches

    @v_args(inline=True)
    def membership(
        self, column: Token, negated: Token | None, *values: Token
    ) -> ColumnElement[bool]:
        field = self._field(column)
        within = field.expression.in_([_bound(each, field) for each in values])
        return not_(within) if negated else within

    @v_args(inline=True)
    def between(
        self, column: Token, negated: Token | None, least: Token, most: Token
    ) -> ColumnElement[bool]:
        field = self._field(column)
        if field.kind is Kind.FLAG:
            raise _wrong(least, field, "it can only be compared by = and !=")
        within = field.expression.between(_bound(least, field), _bound(most, field))
        return not_(within) if negated else within

    @v_args(inline=True)
    def missing(self, column: Token, negated: Token | None) -> ColumnElement[bool]:
        expression = self._field(column).expression
        return expression.is_not(None) if negated else expression.is_(None)

    def _field(self, column: Token) -> Field:
        if column not in self._fields:
            raise unknown_column(
                "where-column", _place(column.start_pos or 0), str(column), self._fields
            )
        return self._fields[str(column)]


def _wrong(token: Token, field: Field, why: str) -> CatalogueError:
    reason = f"{_place(token.start_pos or 0)}{field.name} is {field.kind.value}: {why}"
    return CatalogueError("where-value", reason)


def _bound(token: Token, field: Field) -> ColumnElement[Any]:
    """Returns the bound parameter of a value, which the field's kind must be able to have."""
    if field.kind is Kind.TEXT and token.type == "TEXT":
        return _text(_unquoted(token))
    if field.kind is Kind.TIME and token.type == "TEXT":
        return literal(_time(token, field), Moment())
    if field.kind is Kind.FLAG and token.type in ("TRUE", "FALSE"):
        return literal(token.type == "TRUE", Boolean())
    if field.kind is Kind.NUMBER and token.type == "NUMBER":
        return literal(float(token), Double())
    if field.kind is Kind.COUNT and token.type == "NUMBER":
        return literal(_whole(token, field), BigInteger())
    raise _wrong(token, field, f"{printable(token, 40)} is none")


def _text(text: str) -> ColumnElement[str]:
    """Returns a bound text as it is stored. Its type brings no collation: the column has one."""
    return literal(storable(text), Text())


def _unquoted(token: Token) -> str:
    """Returns what a quoted text says."""
    return token[1:-1].replace(token[0] * 2, token[0])


def _whole(token: Token, field: Field) -> int:
    """Returns a whole number that a database can hold, whose text may have an exponent."""
    number = Decimal(str(token))
    if number.adjusted() > 18 or abs(number) > _LARGEST:
        raise _wrong(token, field, f"{printable(token, 40)} is larger than any")
    if number != int(number):
        raise _wrong(token, field, f"{printable(token, 40)} is none")
    return int(number)


def _time(token: Token, field: Field) -> datetime:
    """Returns the time that an ISO 8601 text states; UTC where it states no zone."""
    try:
        moment = datetime.fromisoformat(_unquoted(token).replace("Z", "+00:00"))
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise _wrong(token, field, "write it as '2026-11-24' or '2026-11-24T15:00:00Z'") from None

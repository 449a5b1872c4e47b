"""A condition means the same to both databases as to an evaluator that knows neither."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    Table,
    insert,
    select,
)
from support.postgresql import Server

from thermoscan.catalogue.fields import Field, Kind
from thermoscan.catalogue.opening import connect
from thermoscan.catalogue.types import HostileText, Moment
from thermoscan.catalogue.where import MOST_CHARACTERS, MOST_NESTED, condition
from thermoscan.errors import CatalogueError

TABLE = Table(
    "things",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("word", HostileText),
    Column("count", BigInteger),
    Column("size", Double),
    Column("flag", Boolean),
    Column("moment", Moment),
)
KINDS = {"word": Kind.TEXT, "count": Kind.COUNT, "size": Kind.NUMBER, "flag": Kind.FLAG,
         "moment": Kind.TIME}  # fmt: skip
FIELDS = {name: Field(name, kind, TABLE.c[name]) for name, kind in KINDS.items()}
FIELDS["model.word"] = Field("model.word", Kind.TEXT, TABLE.c.word)

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
WORDS = st.text(st.sampled_from("abA_%*?[]^-\\'\"é😀\n "), max_size=5)
VALUES = {
    "word": WORDS | st.text(max_size=3),
    "count": st.integers(-3, 3) | st.integers(-(2**63) + 1, 2**63 - 1),
    "size": st.sampled_from([-1.5, -0.0, 0.0, 0.5, 5e-324, 1e300])
    | st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "moment": st.integers(-3, 3).map(lambda hours: START + timedelta(hours=hours, microseconds=1)),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}),
    max_size=8,
)
COMPARISONS = {
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> tuple[Any, ...]:
    """One comparison: what it is, its column, whether it is negated, its values."""
    name = draw(st.sampled_from(sorted(VALUES)))
    value = VALUES[name]
    what = draw(st.sampled_from(["compare", "in", "between", "null", "pattern"]))
    negated = draw(st.booleans())
    if what == "pattern":
        return ("pattern", "word", negated, draw(WORDS))
    if what == "null":
        return ("null", name, negated)
    if what == "in":
        return ("in", name, negated, draw(st.lists(value, min_size=1, max_size=3)))
    if what == "between" and name != "flag":
        return ("between", name, negated, draw(value), draw(value))
    signs = ["=", "==", "!=", "<>"] if name == "flag" else sorted(COMPARISONS)
    return ("compare", name, draw(st.sampled_from(signs)), draw(value))


EXPRESSIONS = st.recursive(
    conditions(),
    lambda inner: (
        st.tuples(st.just("not"), inner)
        | st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=8,
)


def text_of(expression: tuple[Any, ...]) -> str:
    """The expression in the language."""
    what = expression[0]
    if what == "not":
        return f"not ({text_of(expression[1])})"
    if what in ("and", "or"):
        return f" {what.upper()} ".join(f"({text_of(each)})" for each in expression[1])
    name, negated = expression[1], "not " if expression[2] is True else ""
    if what == "compare":
        return f"{name}{expression[2]}{literal(expression[3])}"
    if what == "null":
        return f"{name} is {negated}null"
    if what == "in":
        return f"{name} {negated}In ({','.join(map(literal, expression[3]))})"
    if what == "between":
        return f"{name} {negated}between {literal(expression[3])} and {literal(expression[4])}"
    return f"{name} {negated}~ {literal(expression[3])}"


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def truth(expression: tuple[Any, ...], row: dict[str, Any]) -> bool | None:
    """What it says of a row by the logic of three values; None is unknown."""
    what = expression[0]
    if what == "not":
        inner = truth(expression[1], row)
        return None if inner is None else not inner
    if what in ("and", "or"):
        inner = [truth(each, row) for each in expression[1]]
        deciding = what == "or"
        if deciding in inner:
            return deciding
        return None if None in inner else not deciding
    value = row[expression[1]]
    if what == "null":
        return (value is None) != expression[2]
    if value is None:
        return None
    if what == "compare":
        return COMPARISONS[expression[2]](value, expression[3])
    if what == "in":
        return (value in expression[3]) != expression[2]
    if what == "between":
        return (expression[3] <= value <= expression[4]) != expression[2]
    return (matches(value, expression[3])) != expression[2]


def matches(word: str, pattern: str) -> bool:
    regular = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(regular, word, re.DOTALL) is not None


@pytest.fixture(scope="module")
def in_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("where") / "catalogue.sqlite")


@pytest.fixture(scope="module")
def on_server(postgresql: Server) -> str:
    return postgresql.fresh()


@pytest.fixture(params=["in_file", "on_server"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection to a database that has the table for as long as a test takes."""
    engine = connect(request.getfixturevalue(request.param), create=True)
    with engine.connect() as opened:
        TABLE.create(opened)
        yield opened
        opened.rollback()
    engine.dispose()


@settings(
    max_examples=200, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(rows=ROWS, expression=EXPRESSIONS)
def test_a_database_finds_the_rows_that_an_evaluator_finds(
    connection: Connection, rows: list[dict[str, Any]], expression: tuple[Any, ...]
) -> None:
    wanted = condition(text_of(expression), FIELDS, connection.dialect.name)
    with connection.begin_nested() as savepoint:
        for number, row in enumerate(rows):
            connection.execute(insert(TABLE).values(number=number, **row))
        found = connection.scalars(select(TABLE.c.number).where(wanted).order_by("number")).all()
        savepoint.rollback()
    assert found == [number for number, row in enumerate(rows) if truth(expression, row) is True]


ODD_WORDS = ("a[b]c", "abc", "a^c", "50%", "50x", "q_proj", "qxproj", "back\\slash", "Ab", "ab",
             "", "two\nlines", "it's", 'quo"te', "*", "é", "nul\x00", "esc\x10d800",
             "half\ud800")  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    ["a[b]c", "a[b-z]c", "[a]bc", "a[^x]c", "50%", "q_proj", "*_*", "*\\*", "back\\\\*", "a*", "A?",
     "two*lines", "*'*", '*"*', "", "*", "?", "??", "**b", "nul\x00", "half*", "*\ud800"],
)  # fmt: skip
def test_only_two_characters_of_a_pattern_are_more_than_themselves(
    connection: Connection, pattern: str
) -> None:
    rows = [{"number": number, "word": word} for number, word in enumerate(ODD_WORDS)]
    connection.execute(insert(TABLE), rows)
    wanted = condition(f"word ~ {literal(pattern)}", FIELDS, connection.dialect.name)
    found = connection.scalars(select(TABLE.c.word).where(wanted).order_by("number")).all()
    assert found == [word for word in ODD_WORDS if matches(word, pattern)]


def test_any_text_is_equal_to_itself_alone(connection: Connection) -> None:
    rows = [{"number": number, "word": word} for number, word in enumerate(ODD_WORDS)]
    connection.execute(insert(TABLE), rows)
    for word in ODD_WORDS:
        wanted = condition(f"word = {literal(word)}", FIELDS, connection.dialect.name)
        assert connection.scalars(select(TABLE.c.word).where(wanted)).all() == [word]


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            ["word", "count", "size", "flag", "moment", "model.word", "=", "<", "~", "in", "(", ")",
             "not", "and", "or", "is", "null", "between", ",", "1", "-2.5", "1e400", "1e99999999",
             "'a'", '"b"', "'2026-01-01'", "'0001-01-01T00:00:00+14:00'", "true", ";", "--", "'"]
        )
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_understood_or_refused(text: str) -> None:
    for dialect in ("sqlite", "postgresql"):
        try:
            condition(text, FIELDS, dialect)
        except CatalogueError as error:
            assert re.fullmatch("where-(syntax|column|value|too-long|too-deep)", error.code)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "where-syntax", "at character 1: a column is expected, not the end"),
        ("size > ", "where-syntax", "at character 8: a value"),
        ("size", "where-syntax", "at character 5: a comparison"),
        ("size > 1 size", "where-syntax", "at character 10: and, or is expected, not 'size'"),
        ("(size > 1", "where-syntax", "at character 10: ) is expected"),
        ("size = null", "where-syntax", "at character 8"),
        ("size > 1x", "where-syntax", "at character 8"),
        ("word = 'a", "where-syntax", "at character 8"),
        ("size > 1; drop table things", "where-syntax", "at character 9"),
        ("size > 1 -- and", "where-syntax", "at character 10"),
        ("siz > 1", "where-column", "at character 1: there is no column 'siz': did you mean size?"),
        ("size > 1 and WORD = 'a'", "where-column", "at character 14: there is no column 'WORD': "
         "did you mean word"),
        ("zzz > 1", "where-column", "there are word, count, size, flag, moment, model.word"),
        ("size = 'x'", "where-value", "at character 8: size is a number: 'x' is none"),
        ("word > 3", "where-value", "at character 8: word is a text: 3 is none"),
        ("count = 2.5", "where-value", "at character 9: count is a whole number: 2.5 is none"),
        ("count < 9223372036854775808", "where-value", "larger than any"),
        ("count in (1, true)", "where-value", "at character 14"),
        ("size ~ 'a*'", "where-value", "at character 8: size is a number: only a text"),
        ("flag < true", "where-value", "at character 6: flag is true or false"),
        ("flag between true and true", "where-value", "at character 14"),
        ("moment > 'yesterday'", "where-value", "at character 10: moment is a time: write it as"),
        ("moment > '9999-12-31T23:59:59-14:00'", "where-value", "at character 10"),
        ("word = '\u202e' and siz\u202e = 1", "where-syntax", r"not '\u202e = 1'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_place(text: str, code: str, said: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        condition(text, FIELDS, "sqlite")
    assert refused.value.code == code
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(" * 10_000 + "size > 1" + ")" * 10_000, "where-too-long"),
        ("size > 1" + " or size > 1" * 90_000, "where-too-long"),
        ("(" * 33 + "size > 1" + ")" * 33, "where-too-deep"),
        ("not (" * 1_000 + "size > 1" + ")" * 1_000, "where-too-deep"),
        ("not " * 1_000 + "size > 1", "where-syntax"),
    ],
)
def test_what_is_too_large_is_refused(text: str, code: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        condition(text, FIELDS, "sqlite")
    assert refused.value.code == code


def test_the_largest_conditions_that_are_let_pass_are_answered(connection: Connection) -> None:
    connection.execute(insert(TABLE).values(number=0, size=1.0))
    term = "size=1"
    longest = " or ".join([term] * (MOST_CHARACTERS // len(f"{term} or ")))
    values = "size in (" + ",".join(["1"] * (MOST_CHARACTERS // 2 - 10)) + ")"
    deepest = "not (" * MOST_NESTED + "size = 1 and size = 1" + ")" * MOST_NESTED
    for text in (longest, values, deepest):
        wanted = condition(text, FIELDS, connection.dialect.name)
        assert connection.scalars(select(TABLE.c.number).where(wanted)).all() == [0]


def test_values_are_bound_and_never_in_the_statement() -> None:
    for dialect in ("sqlite", "postgresql"):
        text = """word = 'Robert''); drop' and word ~ "x*" and size in (7.25, 8) and count >= 1e3"""
        compiled = condition(text, FIELDS, dialect).compile()
        assert not re.search("Robert|x|7|8|1000", str(compiled))
        assert set(compiled.params.values()) >= {"Robert'); drop", 7.25, 8.0, 1000}

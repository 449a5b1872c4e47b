"""A section in a model card: the exact bytes for nasty cards, and nothing else changed in any."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thermoscan.attaching.front_matter import with_tag
from thermoscan.attaching.readme import MOST_BYTES, Edited, with_section
from thermoscan.errors import AttachError

SECTION = "## Weights\n\n| a | b |\n|---|---|\n"
BLOCK = b"<!-- thermoscan:start -->\n## Weights\n\n| a | b |\n|---|---|\n\n<!-- thermoscan:end -->"
START, END = "<!-- thermoscan:start -->", "<!-- thermoscan:end -->"
S, E = START.encode(), END.encode()
TAGGED = b"---\ntags:\n- thermoscan\n---\n"

NASTY: dict[str, tuple[bytes | None, bytes]] = {
    "no file": (None, TAGGED + b"\n" + BLOCK + b"\n"),
    "an empty file": (b"", TAGGED + b"\n" + BLOCK + b"\n"),
    "text alone": (b"# Hi\n", TAGGED + b"# Hi\n\n" + BLOCK + b"\n"),
    "no line end at the end": (b"# Hi", TAGGED + b"# Hi\n\n" + BLOCK + b"\n"),
    "empty lines at the end": (b"# Hi\n\n\n\n", TAGGED + b"# Hi\n\n\n\n" + BLOCK + b"\n"),
    "spaces at the end": (b"# Hi  ", TAGGED + b"# Hi  \n\n" + BLOCK + b"\n"),
    "a byte order mark": (
        b"\xef\xbb\xbf# Hi\n",
        b"\xef\xbb\xbf" + TAGGED + b"# Hi\n\n" + BLOCK + b"\n",
    ),
    "a byte order mark before front matter": (
        b"\xef\xbb\xbf---\nlicense: mit\n---\n",
        b"\xef\xbb\xbf---\nlicense: mit\ntags:\n- thermoscan\n---\n\n" + BLOCK + b"\n",
    ),
    "CRLF": (
        b"---\r\nlicense: mit\r\n---\r\n# Hi\r\n",
        b"---\r\nlicense: mit\r\ntags:\r\n- thermoscan\r\n---\r\n# Hi\r\n\r\n"
        + BLOCK.replace(b"\n", b"\r\n")
        + b"\r\n",
    ),
    "CR alone": (
        b"# Hi\rthere\r",
        TAGGED.replace(b"\n", b"\r") + b"# Hi\rthere\r\r" + BLOCK.replace(b"\n", b"\r") + b"\r",
    ),
    "mixed line ends, mostly LF": (
        b"a\r\nb\nc\nd\r\n",
        TAGGED + b"a\r\nb\nc\nd\r\n\n" + BLOCK + b"\n",
    ),
    "front matter and no line end behind it": (
        b"---\nlicense: mit\n---",
        b"---\nlicense: mit\ntags:\n- thermoscan\n---\n\n" + BLOCK + b"\n",
    ),
    "empty front matter": (b"---\n---\n", TAGGED + b"\n" + BLOCK + b"\n"),
    "comments alone in the front matter": (
        b"---\n# see the docs\n---\nx\n",
        b"---\n# see the docs\ntags:\n- thermoscan\n---\nx\n\n" + BLOCK + b"\n",
    ),
    "a rule inside code": (
        b"```\n---\nlicense: mit\n---\n```\n",
        TAGGED + b"```\n---\nlicense: mit\n---\n```\n\n" + BLOCK + b"\n",
    ),
    "a rule in the text": (
        b"---\nlicense: mit\n---\nHi\n\n---\n\ntags: x\n\n---\n",
        b"---\nlicense: mit\ntags:\n- thermoscan\n---\nHi\n\n---\n\ntags: x\n\n---\n\n"
        + BLOCK
        + b"\n",
    ),
    "a section already": (
        b"---\ntags:\n- thermoscan\n---\n# Hi\n\n<!-- thermoscan:start -->\nold\n"
        b"<!-- thermoscan:end -->\n\n## More\n",
        TAGGED + b"# Hi\n\n" + BLOCK + b"\n\n## More\n",
    ),
    "indented markers with spaces behind": (
        TAGGED + b"x\n\n  <!-- thermoscan:start -->  \nold\n\n <!-- thermoscan:end --> \nend",
        TAGGED + b"x\n\n  " + BLOCK + b" \nend",
    ),
    "markers at the very start and end": (
        b"<!-- thermoscan:start -->\n<!-- thermoscan:end -->",
        TAGGED + BLOCK,
    ),
    "markers in fences": (
        TAGGED + b"```\n<!-- thermoscan:start -->\n```\n~~~\n<!-- thermoscan:end -->\n~~~\n",
        TAGGED
        + b"```\n<!-- thermoscan:start -->\n```\n~~~\n<!-- thermoscan:end -->\n~~~\n\n"
        + BLOCK
        + b"\n",
    ),
    "a marker in a fence in a list that nobody closes": (
        TAGGED + b"- x\n  ```\n  <!-- thermoscan:start -->\n\nHi\n",
        TAGGED + b"- x\n  ```\n  <!-- thermoscan:start -->\n\nHi\n\n" + BLOCK + b"\n",
    ),
    "markers in indented code": (
        TAGGED + b"x\n\n    <!-- thermoscan:start -->\n\n\t<!-- thermoscan:end -->\n",
        TAGGED
        + b"x\n\n    <!-- thermoscan:start -->\n\n\t<!-- thermoscan:end -->\n\n"
        + BLOCK
        + b"\n",
    ),
    "markers in inline code, a quote and a list": (
        TAGGED + b"`%s`\n> %s\n\n- %s\n" % (S, E, E),
        TAGGED
        + b"`%s`\n> %s\n\n- %s\n\n" % (S, E, E)
        + BLOCK
        + b"\n",
    ),
    "markers in the front matter": (
        b"---\nx: |\n  <!-- thermoscan:start -->\ntags: [thermoscan]\n---\n",
        b"---\nx: |\n  <!-- thermoscan:start -->\ntags: [thermoscan]\n---\n\n" + BLOCK + b"\n",
    ),
    "an example in a fence and the section": (
        TAGGED + b"````\n<!-- thermoscan:start -->\n```\n````\n\n<!-- thermoscan:start -->\n"
        b"```\n<!-- thermoscan:end -->\n```\n<!-- thermoscan:end -->\nend\n",
        TAGGED + b"````\n<!-- thermoscan:start -->\n```\n````\n\n" + BLOCK + b"\nend\n",
    ),
}  # fmt: skip
"""What it is -> the card before, and every byte of it after."""


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_card_gets_its_section_and_keeps_every_other_byte(name: str) -> None:
    before, after = NASTY[name]
    assert with_section(before, SECTION) == Edited(after, None)
    assert with_section(after, SECTION) == Edited(after, None)


LEFT_ALONE: dict[str, tuple[bytes, str]] = {
    "late front matter": (b"\n---\nlicense: mit\n---\n", "begins late or never ends"),
    "front matter without an end": (b"---\nlicense: mit\n", "begins late or never ends"),
    "front matter that dots end": (b"---\nlicense: mit\n...\nHi\n", "begins late or never ends"),
    "an opening line with spaces": (b"---  \nlicense: mit\n---\n", "begins late or never ends"),
    "tabs": (b"---\nlicense:\tmit\n\tx: y\n---\n", "no YAML that can be read"),
    "two documents": (b"---\na: b\n...\nc: d\n---\n", "no YAML that can be read"),
    "a document end": (b"---\na: b\n...\n---\n", "no YAML that can be read"),
    "a control character": (b"---\na: \x1b[2J\n---\n", "no YAML that can be read"),
    "an escape beyond Unicode": (b'---\na: "\\UFFFFFFFF"\n---\n', "no YAML that can be read"),
    "an unknown alias": (b"---\na: *b\n---\n", "no YAML that can be read"),
    "a depth that no reader bears": (b"---\na: " + b"[" * 5000 + b"\n---\n", "no YAML that can"),
    "a list": (b"---\n- a\n---\n", "no list of keys"),
    "a scalar": (b"---\nHello\n---\n", "no list of keys"),
    "keys in braces": (b"---\n{license: mit}\n---\n", "no list of keys"),
    "tags twice": (b"---\ntags: [a]\ntags: [b]\n---\n", "more than once"),
    "tags that are keys": (b"---\ntags:\n  a: b\n---\n", "its tags are no list"),
    "tags in a block of text": (b"---\ntags: |\n  a\n---\n", "its tags are no list"),
    "tags of an alias": (b"---\nx: &x [a]\ntags: *x\n---\n", "no place in it is safe"),
    "tags of an alias in lines": (b"---\nx: &x\n- a\ntags: *x\n---\n", "no place in it is safe"),
    "tags that others repeat": (b"---\ntags: &x [a]\nz: *x\n---\n", "no place in it is safe"),
    "tags that another key merges": (b"---\nx: &x {tags: [a]}\n<<: *x\n---\n", "from elsewhere"),
    "a last tag that is an alias": (b"---\nx: &x a\ntags:\n- *x\n---\n", "no plain line"),
    "an end of a line that not every reader takes for one": (
        "---\ntags:\n- a\u2028- b\n---\n".encode(),
        "no plain line",
    ),
    "a last tag that is a list": (b"---\ntags:\n- - a\n---\n", "no plain line"),
    "a string of several words in commas": (b"---\ntags: a, b\n---\n", "no place in it is safe"),
    "a question mark": (b"---\n? tags\n---\n", "no place in it is safe"),
    "too much of it": (b"---\nx: '" + b"y" * 300_000 + b"'\n---\n", "more than 300,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_front_matter_that_is_not_safe_to_edit_stays_as_it_is_with_a_note(name: str) -> None:
    before, why = LEFT_ALONE[name]
    edited = with_section(before, SECTION)
    assert edited.data.startswith(before)
    assert edited.data.removeprefix(before).strip(b"\n") == BLOCK
    assert edited.note is not None
    assert why in edited.note
    assert with_section(edited.data, SECTION) == edited


TAGS = [
    ("", "tags:\n- thermoscan\n"),
    ("language: no\nversion: 1.10\n", "language: no\nversion: 1.10\ntags:\n- thermoscan\n"),
    ("x: |+\n  a\n\n\n", "x: |+\n  a\n\n\ntags:\n- thermoscan\n"),
    ("  a: b\n  c: d\n", "  a: b\n  c: d\n  tags:\n  - thermoscan\n"),
    ("x: {tags: [a]}\ny:\n  tags:\n  - b\n",
     "x: {tags: [a]}\ny:\n  tags:\n  - b\ntags:\n- thermoscan\n"),
    ("a: 1\na: 2\n", "a: 1\na: 2\ntags:\n- thermoscan\n"),
    ("tags:\n- a\n", "tags:\n- a\n- thermoscan\n"),
    ("tags:\n  -   a # why\n# end\nx: y\n",
     "tags:\n  -   a # why\n  -   thermoscan\n# end\nx: y\n"),
    ("tags:\r\n- 'a'\r\n- \"b\"\r\nx: y\r\n",
     "tags:\r\n- 'a'\r\n- \"b\"\r\n- thermoscan\nx: y\r\n"),
    ('"tags": [a]\n', '"tags": [a, thermoscan]\n'),
    ("tags: [ a, 'b', ]\n", "tags: [ a, 'b', thermoscan, ]\n"),
    ("tags: [\n  a,\n  b  # c\n]\n", "tags: [\n  a,\n  b, thermoscan  # c\n]\n"),
    ("tags: []\n", "tags: [thermoscan]\n"),
    ("tags: [ ]\n", "tags: [ thermoscan]\n"),
    ("tags:\nx: y\n", "tags: [thermoscan]\nx: y\n"),
    ("tags: # none yet\n", "tags: [thermoscan] # none yet\n"),
    ("tags: null # none\n", "tags: [thermoscan] # none\n"),
    ("tags: ~\n", "tags: [thermoscan]\n"),
    ("tags: nlp\n", "tags: [nlp, thermoscan]\n"),
    ("tags: 'a, b'\n", "tags: ['a, b', thermoscan]\n"),
    ("tags: no\n", "tags: [no, thermoscan]\n"),
    ("tags: thermoscan\n", "tags: thermoscan\n"),
    ("tags: [a, thermoscan, b]\n", "tags: [a, thermoscan, b]\n"),
    ("tags:\n- 'thermoscan'\n", "tags:\n- 'thermoscan'\n"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\ntags: [y]\n",
     "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\ntags: [y, thermoscan]\n"),
    ("a: &a [*a]\ntags: [y]\n", "a: &a [*a]\ntags: [y, thermoscan]\n"),
    ("tags: &x nlp\nz: *x\n", "tags: [&x nlp, thermoscan]\nz: *x\n"),
    ("x: &x {y: 1}\n<<: *x\ntags: [a]\n", "x: &x {y: 1}\n<<: *x\ntags: [a, thermoscan]\n"),
    ("&root\na: b\n", "&root\na: b\ntags:\n- thermoscan\n"),
    ("名前: 値\ntags:\n- 漢字\n", "名前: 値\ntags:\n- 漢字\n- thermoscan\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), TAGS, ids=repr)
def test_the_tag_is_put_where_the_tags_are_written(before: str, after: str) -> None:
    assert with_tag(before, "\n") == (after, None)


def test_a_bomb_of_aliases_costs_no_more_than_its_text() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 60)
    )
    assert with_tag(bomb, "\n") == (bomb + "tags:\n- thermoscan\n", None)


@pytest.mark.parametrize(
    ("readme", "code"),
    [
        (b"caf\xe9\n", "readme-not-utf8"),
        ("# Hi\n".encode("utf-16"), "readme-not-utf8"),
        (b"x" * (MOST_BYTES + 1), "readme-too-long"),
        (b"<!-- thermoscan:start -->\n", "readme-markers"),
        (b"<!-- thermoscan:end -->\n", "readme-markers"),
        (b"<!-- thermoscan:end -->\n\n<!-- thermoscan:start -->\n", "readme-markers"),
        (b"\n".join((S, S, E, E)), "readme-markers"),
        (b"\n".join((S, E, S, E)), "readme-markers"),
        (b"<!-- thermoscan:start -->\n```\n<!-- thermoscan:end -->\n```\n", "readme-markers"),
        (b"<!-- thermoscan:start --> x\n\n<!-- thermoscan:end -->\n", "readme-markers"),
        (b"<div>\n<!-- thermoscan:start -->\n<!-- thermoscan:end -->\n</div>\n", "readme-markers"),
        (b"<!--\n<!-- thermoscan:start -->\n", "readme-markers"),
        (b"```\nnever closed\n", "readme-open-block"),
        (b"<!-- never closed\n", "readme-open-block"),
        (b"<pre>\nnever closed\n", "readme-open-block"),
    ],
)  # fmt: skip
def test_a_card_that_cannot_take_a_section_is_refused(readme: bytes, code: str) -> None:
    with pytest.raises(AttachError) as caught:
        with_section(readme, SECTION)
    assert (caught.value.code, caught.value.file) == (code, "README.md")


PIECES = (
    "---", "---\n", "\n", "\r\n", "\r", "\ufeff", "# Hi", "    ", "\t", "```", "~~~~", "> ", "- ",
    "<!-- thermoscan:start -->", "<!-- thermoscan:end -->", "<!--", "-->", "<div>", "|a|\n|-|",
    "tags:", "tags: ", "- a", "[a, b]", "[", "]", "{", "}", "license: mit", "language: no",
    "v: 1.10", "&x ", "*x", "<<: *x", "'", '"', "#", ": ", "...", "null", "|", "\x00", "é漢", "`",
)  # fmt: skip
LINES = st.lists(
    st.tuples(st.lists(st.sampled_from(PIECES), max_size=3), st.sampled_from(["\n", "\r\n", "\r"])),
    max_size=12,
).map(lambda lines: "".join("".join(pieces) + end for pieces, end in lines))
MATTER = st.lists(
    st.sampled_from([
        "license: mit", "language: no", "version: 1.10", "tags: [a, b]", "tags:", "- a", "  - b",
        "tags: nlp", "x: &x [a]", "y: *x", "tags: *x", "z: |", "  text", "# tags: [c]", "", "...",
        "m: {tags: [q]}", "tags: [a,", "]", "<<: {tags: [a]}", "tags: ~ # t", "\ttab: x",
        "tags: 'a'",
    ]), max_size=8,
).map("\n".join)  # fmt: skip
CARDS = st.one_of(
    LINES,
    st.builds("---\n{}\n---{}".format, MATTER, st.one_of(st.just("\n"), LINES.map("\n{}".format))),
    st.builds("---\r\n{}\r\n---\r\n{}".format, MATTER, LINES),
    st.text(max_size=60),
)


def without_a_section(text: str) -> Iterator[str]:
    """The card itself, and what it would be without what stands between a start and an end."""
    yield text
    for start in re.finditer(START, text):
        for end in re.finditer(END, text[start.end() :]):
            yield text[: start.start()] + text[start.end() + end.end() :]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(CARDS)
@example("---\ntags:\n- a\n---\n<!-- thermoscan:start -->\n<!-- thermoscan:end -->\nx")
def test_whatever_the_card_only_additions_are_made_and_none_the_second_time(text: str) -> None:
    readme = text.encode(errors="replace")
    try:
        edited = with_section(readme, SECTION)
    except AttachError as error:
        assert error.code in {"readme-markers", "readme-open-block"}
        return
    assert with_section(edited.data, SECTION) == edited
    # Taking out what was added gives the card back: as an outside observer would do it, by search.
    after = edited.data.decode()
    spans = [
        match.span() for match in re.finditer(f"{START}\\s+## Weights.*?{END}", after, re.DOTALL)
    ]
    assert len(spans) == 1
    rest = after[: spans[0][0]] + after[spans[0][1] :]
    most = len("---\r\ntags:\r\n- thermoscan\r\n---\r\n\r\n\r\n")
    assert any(
        is_subsequence(kept, rest) and len(rest) - len(kept) <= most
        for text in without_a_section(readme.decode())
        for kept in (text, re.sub(r"(tags:\s*)(?:~|null)", r"\1", text, count=1))
    )
    if edited.note is None:
        tags, others = tags_and_rest(after)
        old_tags, old_others = tags_and_rest(readme.decode())
        assert tags in (old_tags, [*old_tags, "thermoscan"])
        assert "thermoscan" in tags
        assert others == old_others


def is_subsequence(part: str, whole: str) -> bool:
    """Whether `part` is `whole` with characters left out."""
    letters = iter(whole)
    return all(letter in letters for letter in part)


def tags_and_rest(text: str) -> tuple[list[object], dict[object, object]]:
    """The front matter as a YAML loader sees it, which the code under test never asks."""
    found = re.match("\ufeff?---(?:\r\n|\r|\n)(.*?)(?<=[\r\n])---(?=[\r\n]|$)", text, re.DOTALL)
    loaded = (yaml.safe_load(found.group(1)) if found else None) or {}
    tags = loaded.pop("tags", None)
    return (tags if isinstance(tags, list) else [] if tags is None else [tags]), loaded

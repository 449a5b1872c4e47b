"""A tag in the YAML front matter of a model card, set by inserting text at the one place for it.

Takes and gives the text between the two ``---``. YAML is read for the places of its nodes only and
never written: dumping it would turn ``language: no`` into false and ``version: 1.10`` into 1.1. The
result is read once more, and stands only where nothing but the tag is new.
"""

from __future__ import annotations

import re

import yaml

TAG = "thermoscan"
_MOST_CHARACTERS = 300_000
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_STRING = "tag:yaml.org,2002:str"
_Splice = tuple[int, int, str]


class _LeaveAloneError(Exception):
    """Why the tag cannot be set safely, as the second half of a sentence."""


def with_tag(matter: str, line_end: str) -> tuple[str, str | None]:
    r"""Returns `matter` with the tag, and None; or `matter` as it was, and why it has no tag.

    Args:
        matter: The text between the two ``---``, which is empty or ends in a line end.
        line_end: For lines that are added.

    >>> with_tag("tags: [nlp]  # mine\n", "\n")
    ('tags: [nlp, thermoscan]  # mine\n', None)
    >>> with_tag("tags: {nlp: 1}\n", "\n")[1]
    'its tags are no list'
    """
    try:
        before = _compose(matter)
        splice = _splice(before, matter, line_end)
        if splice is None:
            return matter, None
        start, end, added = splice
        result = matter[:start] + added + matter[end:]
        if not _only_tagged(before, _compose(result)):
            raise _LeaveAloneError("no place in it is safe to put the tag at")
    except _LeaveAloneError as error:
        return matter, str(error)
    return result, None


def _compose(text: str) -> yaml.Node | None:
    """Returns the root of the one document in `text`; aliases are shared nodes, never copies."""
    if len(text) > _MOST_CHARACTERS:
        raise _LeaveAloneError(f"it has more than {_MOST_CHARACTERS:,} characters")
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    # Beside its own errors, PyYAML lets out those of recursion and of escapes beyond Unicode.
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise _LeaveAloneError("it is no YAML that can be read") from None
    return node


def _splice(root: yaml.Node | None, text: str, line_end: str) -> _Splice | None:
    """Returns which characters of `text` to replace by what; None where the tag is there."""
    if root is None:
        return len(text), len(text), f"tags:{line_end}- {TAG}{line_end}"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _LeaveAloneError("it is no list of keys, one to a line")
    found = [value for key, value in root.value if _is_tags(key)]
    if len(found) > 1:
        raise _LeaveAloneError("it has the key 'tags' more than once")
    if found:
        return _splice_value(found[0], text, line_end)
    if any(key.tag == _MERGE for key, _ in root.value):
        raise _LeaveAloneError("it takes keys from elsewhere, perhaps tags too")
    indent = " " * root.value[0][0].start_mark.column
    return len(text), len(text), f"{indent}tags:{line_end}{indent}- {TAG}{line_end}"


def _splice_value(value: yaml.Node, text: str, line_end: str) -> _Splice | None:
    if isinstance(value, yaml.SequenceNode):
        if any(_is_tag(item) for item in value.value):
            return None
        return _into_flow(value) if value.flow_style else _into_block(value, text, line_end)
    start, end = value.start_mark.index, value.end_mark.index
    if not isinstance(value, yaml.ScalarNode) or value.style in {"|", ">"}:
        raise _LeaveAloneError("its tags are no list")
    if _is_tag(value):
        return None
    if value.tag == _NULL:
        return start, end, f"[{TAG}]" if end > start else f" [{TAG}]"
    return start, end, f"[{text[start:end]}, {TAG}]"


def _into_flow(value: yaml.SequenceNode) -> _Splice:
    """Behind the last item, so that a comma after it stays the last character but one."""
    if value.value:
        end = value.value[-1].end_mark.index
        return end, end, f", {TAG}"
    end = value.end_mark.index - 1
    return end, end, TAG


def _into_block(value: yaml.SequenceNode, text: str, line_end: str) -> _Splice:
    """A line below that of the last item, which begins as that line does."""
    last = value.value[-1]
    start, end = last.start_mark.index, last.end_mark.index
    line = re.search(r"[^\r\n]*\Z", text[:start])
    dash = line.group() if line else ""
    if not re.fullmatch(r" *- +", dash) or not isinstance(last, yaml.ScalarNode):
        raise _LeaveAloneError("its last tag is no plain line of its own")
    rest = re.compile(r"[^\r\n]*(\r\n|\r|\n)").match(text, end)
    if rest is None:
        raise _LeaveAloneError("its last line has no end")
    return rest.end(), rest.end(), f"{dash}{TAG}{line_end}"


def _only_tagged(before: yaml.Node | None, after: yaml.Node | None) -> bool:
    """Says whether `after` is `before` with the tag as the last of its tags and nothing else."""
    old, old_tags = _parts(before)
    new, new_tags = _parts(after)
    if not new_tags or not _is_tag(new_tags[-1]) or new_tags[-1].tag != _STRING:
        return False
    pairs = zip([*old, *old_tags], [*new, *new_tags[:-1]], strict=False)
    same_length = len(old) == len(new) and len(old_tags) + 1 == len(new_tags)
    seen: set[tuple[int, int]] = set()
    return same_length and all(_same(one, other, seen) for one, other in pairs)


def _parts(root: yaml.Node | None) -> tuple[list[yaml.Node], list[yaml.Node]]:
    """Returns all keys and values but those of tags, and the tags."""
    others: list[yaml.Node] = []
    tags: list[yaml.Node] = []
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if not _is_tags(key):
            others += (key, value)
        elif isinstance(value, yaml.SequenceNode):
            tags += value.value
        elif value.tag != _NULL:
            tags.append(value)
    return others, tags


def _same(one: object, other: object, seen: set[tuple[int, int]]) -> bool:
    """Compares two graphs of nodes, each pair of nodes once: aliases may make them endless."""
    if isinstance(one, yaml.Node) and isinstance(other, yaml.Node):
        if (id(one), id(other)) in seen:
            return True
        seen.add((id(one), id(other)))
        return one.tag == other.tag and _same(one.value, other.value, seen)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b, seen) for a, b in pairs)
    return one == other


def _is_tags(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "tags"


def _is_tag(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == TAG

"""Which models a folder holds, told from the names of its files alone.

Takes the names; gives the file that a scan of the folder starts from, and the others that are
models of their own: variants of it, an adapter beside it, what a preference for a format alone
passes over, and where no rule can choose (`selection.choose`) each file. Files that differ in
their format only are one model. Shards without an index are none: nothing says whether they are all
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from thermoscan.errors import SourceError
from thermoscan_adapters import lora_config
from thermoscan_adapters.selection import (
    choose,
    form_of,
    indexed_format,
    is_read,
    is_standard,
    is_training_state,
    looks_like_weights,
    preference,
)

_SHARD_OF = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<total>\d{5})(?P<rest>\..+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FolderModels:
    """The models among the files of a folder.

    Attributes:
        chosen: The file that the folder's own model starts from; None where there is none, or no
            rule can choose.
        variants: The files to start from that hold it in another form.
        adapter: The weights of a LoRA adapter.
        apart: The files that are a model each: all where no rule can choose, and those of another
            name beside a chosen one whose name is no standard one.
        unchosen: Where the folder has no own model, whose card would say so: file -> the one that
            holds the same in a better format.
        loose: Likewise: sets of shards without an index.
        training: Likewise: what training left.
    """

    chosen: str | None
    variants: tuple[str, ...]
    adapter: str | None
    apart: tuple[str, ...] = ()
    unchosen: tuple[tuple[str, str], ...] = ()
    loose: tuple[tuple[str, ...], ...] = ()
    training: tuple[str, ...] = ()


def models_of(names: Iterable[str], listed: Iterable[str] = ()) -> FolderModels:
    """Sorts out the files of a folder.

    Args:
        names: Of its files.
        listed: The shards that the indexes among them list, whatever they are called.
    """
    present = sorted(names)
    adapters = [each for each in lora_config.WEIGHTS if holds_adapter(each, present)]
    rest = [name for name in present if name not in adapters]
    shards = frozenset(listed)
    loose = _loose(rest, shards)
    parts = shards.union(*loose)
    forms = _by_form(name for name in rest if _starts(name) and name not in parts)
    adapter = adapters[0] if adapters else None
    chosen = chosen_of(rest)
    if chosen is not None and chosen not in parts:
        return FolderModels(chosen, _variants(forms, chosen), adapter, _strangers(forms, chosen))
    unchosen = [(name, files[0]) for files in forms.values() for name in files[1:]]
    unchosen += [(name, adapters[0]) for name in adapters[1:]]
    return FolderModels(
        chosen=None,
        variants=(),
        adapter=adapter,
        apart=tuple(sorted(files[0] for files in forms.values())),
        unchosen=tuple(sorted(unchosen)),
        loose=tuple(loose),
        training=tuple(filter(is_training_state, rest)),
    )


def chosen_of(names: Iterable[str]) -> str | None:
    """Returns what `selection.choose` does, None where it cannot."""
    try:
        return choose(names, source="")
    except SourceError:
        return None


def holds_adapter(file: str, names: Iterable[str]) -> bool:
    """Says whether `file` holds the weights of an adapter, in a folder with these names."""
    return file in lora_config.WEIGHTS and file in names and lora_config.FILE in names


def _starts(name: str) -> bool:
    weights = looks_like_weights(name) and not is_training_state(name)
    return weights or indexed_format(name) is not None


def _variants(forms: dict[tuple[str, str], list[str]], chosen: str) -> tuple[str, ...]:
    """One file of each form that is another form of a model that is there."""
    return tuple(
        sorted(
            files[0]
            for (model, variant), files in forms.items()
            if variant and (model, "") in forms and chosen not in files
        )
    )


def _strangers(forms: dict[tuple[str, str], list[str]], chosen: str) -> tuple[str, ...]:
    """The files that were not chosen for their format alone, and share no name with the chosen one.

    ``bert.safetensors`` says nothing of ``crepe.pth``. Beside a standard name, such as
    ``model.safetensors``, others are taken for the same weights.
    """
    if is_standard(chosen):
        return ()
    return tuple(
        sorted(
            files[0]
            for (model, variant), files in forms.items()
            if model != form_of(chosen)[0]
            and (not variant or (model, "") not in forms)
            and (is_read(files[0]) or indexed_format(files[0]))
        )
    )


def _by_form(starts: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The files of each form, the preferred one first."""
    forms: dict[tuple[str, str], list[str]] = {}
    for name in sorted(starts, key=preference):
        forms.setdefault(form_of(name), []).append(name)
    return forms


def _loose(names: Iterable[str], listed: frozenset[str]) -> list[tuple[str, ...]]:
    """The sets of several shards of which no index lists any."""
    sets: dict[tuple[str, str, str], list[str]] = {}
    for name in names:
        shard = _SHARD_OF.fullmatch(name)
        if shard and looks_like_weights(name) and int(shard["total"]) > 1:
            sets.setdefault((shard["stem"], shard["total"], shard["rest"]), []).append(name)
    return [tuple(each) for each in sets.values() if listed.isdisjoint(each)]

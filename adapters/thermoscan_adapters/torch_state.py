"""Which of the things in a torch checkpoint are the weights, and what they are called.

Takes the object that the pickle describes: often a dict of tensors, as often that dict inside
others, beside optimizer states, learning-rate schedules, arguments and histories. Gives the tensors
of the model by name, and says in sentences what was taken and what was left out.

The rule, applied from the outermost object inwards:

1. What is plainly bookkeeping is never weights: an entry whose key says so (`_is_bookkeeping`), or
   a container with the form of an optimizer's state (``state`` and ``param_groups``). Only where
   there are nothing but tensors is none of them left out: their names are the model's own.
2. If an entry's key says that it is the model (`_MODEL_KEYS`, in that order), and no other entry
   holds more elements, only that entry counts.
3. If only one entry holds tensors at all, only that entry counts.
4. Otherwise everything that is left is the model; containers within join their names with dots.

A list counts as a container with the keys 0, 1, ...; a lone tensor is called ``0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from thermoscan.errors import LimitError, MalformedError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters.torch_pickle import LONG_TEXT
from thermoscan_adapters.torch_values import TensorRef, UnreadTensor

Leaf = TensorRef | UnreadTensor
_Entries = list[tuple[str, object]]

_MODEL_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network"),
    *("net_state_dict", "params", "weights", "model_weights", "teacher", "generator"),
    *("ema_state_dict", "model_ema", "params_ema", "ema"),
)
_BOOKKEEPING_WORDS = frozenset(
    {
        *(
            "amp",
            "args",
            "callbacks",
            "config",
            "criterion",
            "datamodule",
            "dataloader",
            "gradscaler",
        ),
        *("history", "hparams", "loops", "losses", "metrics", "rng", "sampler", "scaler"),
    }
)
_BOOKKEEPING_BEGINNINGS = ("optim", "sched")
_BOOKKEEPING_KEYS = frozenset(
    {
        "exp_avg",
        "exp_avg_sq",
        "momentum_buffer",
        "hyper_parameters",
        "random_state",
        "lr_schedulers",
    }
)
_WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True, slots=True)
class FoundState:
    """The weights of a checkpoint.

    Attributes:
        tensors: Names, each one once, and tensors, in the order in which they were stored.
        unread: Names and reasons of tensors of kinds that are not read.
        notes: What was taken and what was left out, as sentences.
    """

    tensors: tuple[tuple[str, TensorRef], ...]
    unread: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def find_state(root: object, limits: Limits) -> FoundState:
    """Returns the tensors of the model that `root` holds.

    Raises:
        UnsupportedFormatError: ``no-weights``: it holds no tensor of a model.
        LimitError: ``pickle-nesting``, ``tensors`` or ``tensor-name``.
        MalformedError: ``tensor-duplicate-name``.
    """
    search = _Search(limits)
    path, chosen = search.descend(root)
    leaves = search.leaves(chosen)
    wrapper, shorter = _without_wrapper(list(leaves))
    tensors: list[tuple[str, TensorRef]] = []
    unread: list[tuple[str, str]] = []
    for name, leaf in zip(shorter, leaves.values(), strict=True):
        if isinstance(leaf, TensorRef):
            tensors.append((name, leaf))
        else:
            unread.append((name, leaf.reason))
    if not tensors:
        raise UnsupportedFormatError("no-weights", "it holds no weights of a model that are read")
    notes = []
    if path:
        notes.append(f"the weights are its entry '{printable('.'.join(path))}'")
    if search.left_out.entries:
        notes.append(f"left out as not the model's weights: {search.left_out}")
    if wrapper:
        notes.append(f"the prefix '{wrapper}' was taken off every name")
    return FoundState(tuple(tensors), tuple(unread), tuple(notes))


class _LeftOut:
    """The entries that are not the model's: how many, and the names of the first ones."""

    _SHOWN = 5

    def __init__(self) -> None:
        self.entries = 0
        self._hidden_tensors = 0
        self._shown: list[str] = []

    def add(self, name: str, tensors: int) -> None:
        """Counts the entry called `name`, which holds so many tensors."""
        self.entries += 1
        if self.entries > self._SHOWN:
            self._hidden_tensors += tensors
            return
        plural = "s" if tensors > 1 else ""
        self._shown.append(f"'{printable(name)}' ({tensors} tensor{plural})")

    def __str__(self) -> str:
        more = self.entries - len(self._shown)
        rest = [f"{more} more entries ({self._hidden_tensors} tensors)"] if more else []
        return ", ".join([*self._shown, *rest])


class _Search:
    """Walks containers that may share parts or hold themselves; looks at each of them once."""

    def __init__(self, limits: Limits) -> None:
        self.left_out = _LeftOut()
        self._limits = limits
        self._measured: dict[int, tuple[int, int]] = {}
        self._split_up: dict[int, tuple[_Entries, _Entries]] = {}
        self._steps = 0

    def descend(self, root: object) -> tuple[list[str], object]:
        """Returns the container that is the model, and the keys that lead to it."""
        path: list[str] = []
        node = {"0": root} if isinstance(root, Leaf) else root
        above: tuple[int, ...] = ()
        self._measure(node, 0)
        while len(path) <= self._limits.nesting:
            kept, left = self._split(node)
            above = (*above, id(node))
            kept = [entry for entry in kept if id(entry[1]) not in above]
            entry = self._entry(kept)
            if entry is None:
                return path, node
            self._leave_out(
                [*(other for other in kept if other is not entry), *left],
                "".join(f"{key}." for key in path),
            )
            path.append(entry[0])
            node = entry[1]
        raise _deep(self._limits)

    def leaves(self, node: object) -> dict[str, Leaf]:
        """Returns the tensors below `node` by name, in stored order.

        Raises:
            LimitError: ``tensors``, ``tensor-name`` or ``pickle-nesting``.
            MalformedError: ``tensor-duplicate-name``.
        """
        found: dict[str, Leaf] = {}
        self._walk(node, "", (), found, set())
        return found

    def _walk(
        self,
        node: object,
        prefix: str,
        above: tuple[int, ...],
        found: dict[str, Leaf],
        known: set[int],
    ) -> None:
        if len(above) > self._limits.nesting:
            raise _deep(self._limits)
        kept, left = self._split(node)
        if id(node) not in known:
            known.add(id(node))
            self._leave_out(left, prefix)
        above = (*above, id(node))
        for key, value in kept:
            # Containers in each other can be walked in more ways than time allows.
            self._steps += 1
            if self._steps > 2 * self._limits.tensors:
                raise _many(self._limits)
            name = prefix + key
            if len(name.encode("utf-8", "surrogatepass")) > self._limits.name_bytes:
                raise _long_name(self._limits)
            if isinstance(value, Leaf):
                if name in found:
                    raise MalformedError(
                        "tensor-duplicate-name", "two tensors have this name", tensor=name
                    )
                found[name] = value
                if len(found) > self._limits.tensors:
                    raise _many(self._limits)
            elif id(value) not in above:
                self._walk(value, name + ".", above, found, known)

    def _entry(self, kept: _Entries) -> tuple[str, object] | None:
        """Returns the one entry that is the model; None if they are so together."""
        containers = [entry for entry in kept if not isinstance(entry[1], Leaf)]
        if len(kept) == 1:
            return containers[0] if containers else None
        others = (
            self._measure(value, 0)[1] for key, value in kept if key.lower() not in _MODEL_KEYS
        )
        largest = max(others, default=0)
        named = [entry for entry in containers if entry[0].lower() in _MODEL_KEYS]
        for entry in sorted(named, key=lambda entry: _MODEL_KEYS.index(entry[0].lower())):
            if self._measure(entry[1], 0)[1] >= largest:
                return entry
        return None

    def _split(self, node: object) -> tuple[_Entries, _Entries]:
        """Returns the entries of `node` with tensors: those that may be weights, and the others."""
        if id(node) not in self._split_up:
            entries = [entry for entry in _items(node) if self._measure(entry[1], 0)[0]]
            flat = all(isinstance(value, Leaf) for _, value in entries)
            kept: _Entries = []
            left: _Entries = []
            for key, value in entries:
                if key is LONG_TEXT:
                    raise _long_name(self._limits)
                if isinstance(key, bool) or not isinstance(key, (str, int)):
                    left.append(("(a key that is neither text nor integer)", value))
                elif _is_optimizer_state(node) or (not flat and _is_bookkeeping(str(key), value)):
                    left.append((str(key), value))
                else:
                    kept.append((str(key), value))
            self._split_up[id(node)] = kept, left
        return self._split_up[id(node)]

    def _leave_out(self, entries: _Entries, prefix: str) -> None:
        for key, value in entries:
            self.left_out.add(prefix + key, self._measure(value, 0)[0])

    def _measure(self, node: object, depth: int) -> tuple[int, int]:
        """Returns how many tensors and elements are below `node`; what holds itself counts once."""
        if isinstance(node, TensorRef):
            return 1, node.size
        if isinstance(node, UnreadTensor):
            return 1, 0
        if not isinstance(node, (dict, list, tuple)):
            return 0, 0
        if id(node) in self._measured:
            return self._measured[id(node)]
        if depth > self._limits.nesting:
            raise _deep(self._limits)
        self._measured[id(node)] = (0, 0)
        parts = [self._measure(value, depth + 1) for _, value in _items(node)]
        total = sum(part[0] for part in parts), sum(part[1] for part in parts)
        self._measured[id(node)] = total
        return total


def _items(node: object) -> Iterator[tuple[object, object]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, (list, tuple)):
        yield from enumerate(node)


def _is_bookkeeping(key: str, value: object) -> bool:
    """Says whether an entry is plainly not weights."""
    words = re.split(r"[^a-z0-9]+", key.lower())
    return (
        key.lower() in _BOOKKEEPING_KEYS
        or not _BOOKKEEPING_WORDS.isdisjoint(words)
        or any(word.startswith(_BOOKKEEPING_BEGINNINGS) for word in words)
        or _is_optimizer_state(value)
    )


def _is_optimizer_state(value: object) -> bool:
    return isinstance(value, dict) and "state" in value and "param_groups" in value


def _without_wrapper(names: list[str]) -> tuple[str, list[str]]:
    """Returns the prefix of wrappers (DataParallel, compile) that all names share, and the rest."""
    taken = ""
    while True:
        for wrapper in _WRAPPERS:
            if names and all(n.startswith(wrapper) and n != wrapper for n in names):
                names = [name[len(wrapper) :] for name in names]
                taken += wrapper
                break
        else:
            return taken, names


def _deep(limits: Limits) -> LimitError:
    return LimitError("pickle-nesting", f"it is nested deeper than the limit of {limits.nesting}")


def _many(limits: Limits) -> LimitError:
    return LimitError("tensors", f"it has more tensors than the limit of {limits.tensors}")


def _long_name(limits: Limits) -> LimitError:
    return LimitError(
        "tensor-name", f"the name of a tensor is longer than the limit of {limits.name_bytes} bytes"
    )

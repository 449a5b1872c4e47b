"""What ``thermoscan linear`` finds: the states of one linear system, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thermoscan.cli.table import Table
from thermoscan.errors import OptionError
from thermoscan.theory.initialisation import RULES, Initialisation, from_rule, parse
from thermoscan.theory.linear import (
    LinearData,
    LinearState,
    LinearTransition,
    linear_data,
    linear_state,
    linear_transition,
)
from thermoscan.theory.linear_states import ParameterState, initial_state
from thermoscan.theory.linear_training import trained_state
from thermoscan.theory.losses import Loss, loss

_NO_NEWER = "no newer data were given"


@dataclass(frozen=True, slots=True)
class LinearReport:
    """The states of one linear system.

    Attributes:
        data: Name of the data. Hostile text.
        target: Name of the targets. Hostile text.
        samples: N.
        features: d.
        classes: K; None for losses that have one output.
        loss: Name of the loss.
        initialisations: What features start from, by turns.
        newer: Name of the newer data. Hostile text.
        initial: At initialisation, on the data (Type I).
        trained: Trained on the data, on the data.
        outdated: Trained on the data, on the newer data (Type II).
        refreshed: Trained on the newer data, on the newer data.
        training: From `initial` to `trained`.
        refresh: From `outdated` to `refreshed`.
        reasons: Why a state or transition is None, under its name.
    """

    data: str
    target: str
    samples: int
    features: int
    classes: int | None
    loss: str
    initialisations: tuple[str, ...]
    newer: str | None
    initial: LinearState
    trained: LinearState | None
    outdated: LinearState | None
    refreshed: LinearState | None
    training: LinearTransition | None
    refresh: LinearTransition | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _System:
    """Data, and the state trained on them, or why there is none."""

    data: LinearData
    trained: ParameterState | None
    reason: str


def linear_report(
    table: Table, newer: Table | None, loss_name: str, rules: Sequence[str]
) -> LinearReport:
    """Returns the states of the linear system on a table, before training and after.

    Args:
        table: The data.
        newer: Data of the same columns, for the refresh; None for none.
        loss_name: Name of the loss.
        rules: What features start from, by turns: texts as ``--init`` takes them.

    Raises:
        OptionError: Something that was asked for does not fit the data.
    """
    asked = loss(loss_name)
    if newer is not None and newer.features != table.features:
        raise OptionError(
            "refresh-refused", "its features are not those of the first data", file=newer.name
        )
    old = _system(table, asked)
    new = None if newer is None else _system(newer, asked)
    classes = int(old.data.targets.max()) + 1 if asked.has_classes else None
    starts = _starts(rules, table.inputs.shape[1], classes or 1)
    initial = linear_state(initial_state(starts, classes), old.data, asked)
    trained = _on(old.trained, old.data, asked)
    outdated = None if new is None else _on(old.trained, new.data, asked)
    refreshed = None if new is None else _on(new.trained, new.data, asked)
    training, refresh = _between(initial, trained), _between(outdated, refreshed)
    no_new = _NO_NEWER if new is None else new.reason
    reasons = (
        ("classes", classes, f"the {asked.title} has one output"),
        ("newer", newer, _NO_NEWER),
        ("trained", trained, old.reason),
        ("outdated", outdated, _NO_NEWER if new is None else old.reason),
        ("refreshed", refreshed, no_new),
        ("training", training, old.reason),
        ("refresh", refresh, no_new or old.reason),
    )
    return LinearReport(
        data=table.name,
        target=table.target,
        samples=table.inputs.shape[0],
        features=table.inputs.shape[1],
        classes=classes,
        loss=asked.name,
        initialisations=tuple(rules),
        newer=None if newer is None else newer.name,
        initial=initial,
        trained=trained,
        outdated=outdated,
        refreshed=refreshed,
        training=training,
        refresh=refresh,
        reasons={name: why for name, value, why in reasons if value is None},
    )


def _system(table: Table, asked: Loss) -> _System:
    data = linear_data(table.inputs, table.targets, asked)
    try:
        return _System(data, trained_state(data, asked), "")
    except OptionError as error:
        return _System(data, None, error.reason)


def _on(state: ParameterState | None, data: LinearData, asked: Loss) -> LinearState | None:
    return None if state is None else linear_state(state, data, asked)


def _between(before: LinearState | None, after: LinearState | None) -> LinearTransition | None:
    return None if before is None or after is None else linear_transition(before, after)


def _starts(rules: Sequence[str], features: int, outputs: int) -> list[Initialisation]:
    """Returns what each feature's parameters start from; the rules take turns."""
    known = [from_rule(rule, features, outputs) if rule in RULES else parse(rule) for rule in rules]
    return [known[index % len(known)] for index in range(features)]

"""What the core asks of those who can run models and read data, as protocols and frozen values.

An adapter turns a checkpoint into a `Subject`, which can be run, and a path into `Examples`. Both
are found by entry point: groups ``thermoscan.runners`` and ``thermoscan.data``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from thermoscan.checkpoint import Checkpoint
from thermoscan.limits import DataLimits

if TYPE_CHECKING:
    import torch

    from thermoscan.probe.measure import Batch, Objective

NO_OBJECTIVE = "none"


@dataclass(frozen=True, slots=True)
class Examples:
    """Data to run a model on.

    Attributes:
        description: What it is, in words; hostile text where it holds a file's name.
        texts: The texts; empty where it is pictures.
        pictures: `PIL.Image.Image` values; empty where it is texts.
        labels: One for each text or picture, as the data spells it; empty where it has none.
        notes: What a card should repeat.
    """

    description: str
    texts: tuple[str, ...] = ()
    pictures: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One set of data as a model takes it, and what is asked of the model on it.

    Attributes:
        description: Of the data.
        batches: The data.
        examples: How many there are in all batches.
        name: What the loss is, `NO_OBJECTIVE` where there is none.
        objective: Takes the loss.
        reason: Why there is no loss; None where there is one.
        notes: Assumptions that were made, in sentences for the card.
    """

    description: str
    batches: Sequence[Batch]
    examples: int
    name: str
    objective: Objective
    reason: str | None = None
    notes: tuple[str, ...] = ()


class Subject(Protocol):
    """A model that can be run, in evaluation mode."""

    @property
    def model(self) -> torch.nn.Module:
        """The module."""
        ...

    @property
    def prefix(self) -> str:
        """What stands before the names in a model with a head, against those without one."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, as torch names it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions that were made, in sentences for the card."""
        ...

    def sample(self, seed: int) -> Examples:
        """Returns the reference data for a model of this kind."""
        ...

    def task(self, examples: Examples, inputs: int, seed: int) -> Task:
        """Makes batches of at most `inputs` examples.

        Raises:
            DataError: The model cannot be run on this data.
        """
        ...

    def fresh(self, seed: int) -> torch.nn.Module:
        """Returns a copy of the model as its own code initialises it (a Type I state)."""
        ...


class Runner(Protocol):
    """Loads models of one library. Registered in the group ``thermoscan.runners``.

    Attributes:
        companions: Names of the files beside the weights that it needs, where they are there.
    """

    companions: frozenset[str]

    def claims(self, checkpoint: Checkpoint) -> bool:
        """Says whether this checkpoint is one of the library's."""
        ...

    def load(self, checkpoint: Checkpoint, folder: Path, device: str) -> Subject:
        """Builds the model and gives it the checkpoint's weights. No code of the model's is run.

        Args:
            checkpoint: Opened.
            folder: Holds the `companions`.
            device: As `thermoscan.options.ProbeOptions` has it.

        Raises:
            ProbeError: It cannot be run.
        """
        ...


class DataReader(Protocol):
    """Reads data. Registered in the group ``thermoscan.data``."""

    def claims(self, path: str) -> bool:
        """Says whether this reader knows what is at `path`."""
        ...

    def read(self, path: str, inputs: int, limits: DataLimits) -> Examples:
        """Returns the first `inputs` examples.

        Raises:
            DataError: It cannot be read, or is beyond a limit.
        """
        ...

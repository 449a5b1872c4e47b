"""Runs models of transformers: a checkpoint and its configuration to a `Subject`.

The library gets a configuration that was parsed strictly and tensors that were read by us; it opens
no file but the tokenizer's, asks no hub, and runs no code from beside the weights. Random weights
are never measured for the checkpoint's: a head that it does not hold is left out, and any other
weight that is missing is an error.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thermoscan.checkpoint import Checkpoint
from thermoscan.dtypes import DType
from thermoscan.errors import ProbeError
from thermoscan.probe.subject import Examples, Subject, Task
from thermoscan.text import printable
from thermoscan_adapters.sample import sample_texts, synthetic_pictures
from thermoscan_adapters.transformers_batches import free_bytes
from thermoscan_adapters.transformers_choice import Candidate, Kind, candidates, configuration
from thermoscan_adapters.transformers_inputs import COMPANIONS, input_maker
from thermoscan_adapters.transformers_quiet import at_work
from thermoscan_adapters.transformers_state import state_of
from thermoscan_adapters.transformers_tasks import Ability, task_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_BUILD: dict[str, Any] = {"attn_implementation": "eager", "experts_implementation": "eager"}
_UNUSED = "pooler."
#: The model's numbers against the checkpoint's: a head over a large vocabulary can double them.
_MOST_GROWTH = 2.5


class TransformersRunner:
    """Loads models of transformers. See `thermoscan.probe.subject.Runner`."""

    companions = COMPANIONS

    def claims(self, checkpoint: Checkpoint) -> bool:
        """Says whether a configuration with a ``model_type`` lies beside the weights."""
        config = checkpoint.config
        return not checkpoint.components and config is not None and "model_type" in config

    def load(self, checkpoint: Checkpoint, folder: Path, device: str) -> Subject:
        """Builds the model on `device`.

        Raises:
            ProbeError: See the modules that this one imports for the codes.
        """
        source = checkpoint.source.id
        where = _device(device)
        config = configuration(checkpoint.config or {}, source, len(checkpoint.tensors))
        tried = candidates(config, source)
        _check_size(tried[0], config, checkpoint, where)
        dtype = _dtype(checkpoint)
        loaded = _load(tried, config, state_of(checkpoint), dtype, source)
        model = loaded.model.eval().to(where)
        encode, notes = input_maker(model, folder, source)
        able = Ability(model, loaded.kind, tried[0].kind, encode, where)
        return TransformersSubject(able, dtype, (*loaded.notes, *notes, *_casts(checkpoint, dtype)))


@dataclass(frozen=True, slots=True)
class TransformersSubject:
    """A loaded model. See `thermoscan.probe.subject.Subject`."""

    able: Ability
    dtype: torch.dtype
    notes: tuple[str, ...]

    @property
    def model(self) -> Any:
        """The module."""
        return self.able.model

    @property
    def prefix(self) -> str:
        """The library's prefix of names in a model with a head."""
        return str(self.able.model.base_model_prefix)

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.able.device

    def sample(self, seed: int) -> Examples:
        """Returns pictures or texts, as the model takes them."""
        return synthetic_pictures(seed) if self.able.takes_pictures else sample_texts()

    def task(self, examples: Examples, inputs: int, seed: int) -> Task:
        """Makes batches; see `thermoscan_adapters.transformers_tasks.task_of`."""
        return task_of(self.able, examples, inputs, seed)

    def fresh(self, seed: int) -> torch.nn.Module:
        """Returns a copy that the library initialised, by the model's own rules."""
        config = copy.deepcopy(self.model.config)
        with torch.random.fork_rng(), at_work("copy-failed", "transformers cannot build a copy"):
            torch.manual_seed(seed)
            made: torch.nn.Module = type(self.model)._from_config(
                config, dtype=self.dtype, **_BUILD
            )
        return made.eval().to(self.device)


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    kind: Kind
    notes: tuple[str, ...]


def _load(
    tried: list[Candidate],
    config: PreTrainedConfig,
    state: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
    source: str,
) -> _Loaded:
    """Loads the first candidate for which the checkpoint holds every weight that is used."""
    missing: list[str] = []
    for candidate in tried:
        with at_work("model-failed", "transformers cannot build the model", source):
            load: Any = candidate.cls.from_pretrained
            model, found = load(
                None,
                config=copy.deepcopy(config),
                state_dict=dict(state),
                dtype=dtype,
                ignore_mismatched_sizes=True,  # told below
                output_loading_info=True,
                **_BUILD,
            )
        if found["mismatched_keys"]:
            raise ProbeError(
                "config-mismatch", "its weights are not of the shapes that it states", file=source
            )
        missing = sorted(found["missing_keys"])
        if candidate.kind is Kind.BASE:
            missing = [name for name in missing if not name.startswith(_UNUSED)]
        if not missing:
            notes = (*_notes(candidate, tried), *_left_out(found["unexpected_keys"]))
            return _Loaded(model, candidate.kind, notes)
        inside = f"{candidate.cls.base_model_prefix}."
        if any(name.startswith(inside) for name in missing):
            break
    raise ProbeError(
        "weights-missing",
        f"it lacks {len(missing)} of the weights that its architecture has; they would be random",
        file=source,
        tensor=missing[0],
    )


def _notes(candidate: Candidate, tried: list[Candidate]) -> tuple[str, ...]:
    if candidate is tried[0]:
        return ()
    return (
        f"The checkpoint lacks the weights of a head for {tried[0].kind.value}: the model was run "
        "without one.",
    )


def _left_out(names: Iterable[str]) -> tuple[str, ...]:
    """Tells weights that the checkpoint holds and the model as it was run does not."""
    left = sorted(names)
    if not left:
        return ()
    first = printable(left[0], 60)
    return (f"The model was run without {len(left)} of the checkpoint's tensors: '{first}', ...",)


def _check_size(
    candidate: Candidate, config: PreTrainedConfig, checkpoint: Checkpoint, device: str
) -> None:
    """Refuses a model that is far larger than its checkpoint, or than memory."""
    source = checkpoint.source.id
    with at_work("model-failed", "transformers cannot build the model", source):
        with torch.device("meta"):
            made = candidate.cls(copy.deepcopy(config))
        built = sum(each.numel() for each in made.parameters())
    stored = sum(tensor.size for tensor in checkpoint.tensors)
    if built > _MOST_GROWTH * stored:
        reason = f"its configuration asks for {built} numbers, and it holds {stored}"
        raise ProbeError("config-mismatch", reason, file=source)
    # what was read, the model in float32, and its gradients
    needed = sum(tensor.nbytes for tensor in checkpoint.tensors) + 8 * built
    if needed > free_bytes(device):
        reason = f"running it takes at least {needed >> 20} MiB of memory, more than is free"
        raise ProbeError("out-of-memory", reason, file=source)


def _dtype(checkpoint: Checkpoint) -> torch.dtype:
    """Single precision; double for a checkpoint in doubles, so that no digit is lost."""
    doubles = any(tensor.dtype is DType.F64 for tensor in checkpoint.tensors)
    return torch.float64 if doubles else torch.float32


def _casts(checkpoint: Checkpoint, dtype: torch.dtype) -> tuple[str, ...]:
    run = DType.F64 if dtype is torch.float64 else DType.F32
    stored = {tensor.dtype for tensor in checkpoint.tensors if tensor.dtype.is_float} - {run}
    if not stored:
        return ()
    labels = ", ".join(sorted(each.label for each in stored))
    return (f"The model was run in {run.label}; its weights are stored as {labels}.",)


def _device(wanted: str) -> str:
    """The device, as torch names it.

    Raises:
        ProbeError: ``device-missing``.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ProbeError("device-missing", "torch finds no graphics card here")
    return "cuda" if there and wanted != "cpu" else "cpu"

"""Every error that thermoscan raises on purpose, as one tree.

::

    ThermoscanError                  code, file, tensor, reason: one sentence a person can act on
    ├── SourceError                  there is nothing to scan at this name
    │   ├── SourceNotFoundError      no such path, no such repository or revision
    │   ├── UnsupportedFormatError   a format that is recognised but not read (ONNX, GGUF, ...)
    │   └── HubError                 the hub refused, is out of reach, or answered nonsense
    ├── CheckpointError              there is a checkpoint, and it cannot be trusted
    │   ├── MalformedError           its bytes break the rules of its format
    │   ├── LimitError               it is larger than a limit of `thermoscan.limits.Limits`
    │   ├── UnsafeError              it holds code, or points outside its folder
    │   └── ChangedError             it was cut short or replaced while it was read
    ├── ProbeError                   the model cannot be run: no torch, no tokenizer, foreign code
    ├── DataError                    data to run a model on that cannot be read or is too much
    ├── OptionError                  an option that the caller gave makes no sense here
    ├── CardError                    a card that cannot be read: newer version, or not a card
    ├── AttachError                  a report that cannot be put into a model card
    ├── CatalogueError               a catalogue that cannot be opened, or a question to it
    └── ClusterError                 the workers of a batch are out of reach

Every error carries a stable ``code`` (kebab-case), which is what programs should compare, and which
batch results and cards repeat. Exceptions of other libraries are mapped where they enter and never
shown raw.
"""

from __future__ import annotations

from thermoscan.text import printable


class ThermoscanError(Exception):
    """The root of the tree.

    Args:
        code: Stable kebab-case identifier of the reason, such as ``"header-duplicate-key"``.
        reason: What is wrong, in one plain sentence without the file's or the tensor's name.
        file: The file concerned, as the user or the checkpoint names it.
        tensor: The tensor concerned. May be hostile text; it is made printable in the message.
    """

    def __init__(
        self, code: str, reason: str, *, file: str | None = None, tensor: str | None = None
    ) -> None:
        self.code = code
        self.reason = reason
        self.file = file
        self.tensor = tensor
        super().__init__(code, reason, file, tensor)

    def __str__(self) -> str:
        where = []
        if self.file is not None:
            where.append(printable(self.file))
        if self.tensor is not None:
            where.append(f"tensor '{printable(self.tensor)}'")
        return ": ".join([*where, printable(self.reason, limit=1000)])


class SourceError(ThermoscanError):
    """There is nothing to scan at this name."""


class SourceNotFoundError(SourceError):
    """No such path, repository or revision."""


class UnsupportedFormatError(SourceError):
    """A file of a format that is recognised but not read."""


class HubError(SourceError):
    """The hub refused, is out of reach, or answered nonsense."""


class CheckpointError(ThermoscanError):
    """There is a checkpoint, and it cannot be trusted."""


class MalformedError(CheckpointError):
    """The bytes break the rules of the format."""


class LimitError(CheckpointError):
    """The checkpoint is larger than a limit of `thermoscan.limits.Limits`."""


class UnsafeError(CheckpointError):
    """The checkpoint holds code, or points outside its folder."""


class ChangedError(CheckpointError):
    """The checkpoint was cut short or replaced while it was read."""


class ProbeError(ThermoscanError):
    """The model cannot be run: torch is missing, a tokenizer is, or it needs code of its own."""


class DataError(ThermoscanError):
    """Data to run a model on that cannot be read, or more of it than a limit allows."""


class OptionError(ThermoscanError):
    """An option that the caller gave makes no sense for this source."""


class CardError(ThermoscanError):
    """A card that cannot be read: of a newer version, or not a card at all."""


class AttachError(ThermoscanError):
    """A report that cannot be put into this model card, or that is not true of its weights."""


class CatalogueError(ThermoscanError):
    """A catalogue that cannot be opened or written, or a question it has no word for."""


class ClusterError(ThermoscanError):
    """The workers of a batch do not come up, are out of reach, or run another version."""

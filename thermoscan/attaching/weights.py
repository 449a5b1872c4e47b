"""Is a card true of the weights it is to be published beside? Compared by content, not by name.

Takes a card and two listings of weight files: those at the commit that the card names, and those at
the target. Gives nothing; refuses a card that is not of the target's weights, or cannot be shown to
be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from thermoscan.card import Card, ModelFile
from thermoscan.errors import AttachError

# Of shards (perhaps of a variant, ``a.safetensors.index.fp16.json``), or of components.
_INDEX = re.compile(r"(?:.*/)?(?:.+\.index(?:\.[\w-]+)?|model_index)\.json")
_AGAIN = "scan the model as it is now, and attach that card"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A weight file as a source lists it.

    Attributes:
        bytes: Its length.
        sha256: Hexadecimal digest of its content; None where the source states none.
        content: What the source calls this content, such as git's id of it; equal ids of one source
            mean equal content. None where it has none.
    """

    bytes: int
    sha256: str | None
    content: str | None = None


Weights = Mapping[str, WeightFile]


def check_weights(card: Card, scanned: Weights | None, target: Weights) -> None:
    """Makes sure that the weights at the target are those that `card` is of.

    Args:
        card: The card.
        scanned: What the source holds at the commit that the card names; None where it names none.
        target: What it holds where the card is to go.

    Raises:
        AttachError: ``weights-differ`` or ``weights-unproven``.
    """
    if not card.model.files:
        reason = f"the card lists no weight file that could be compared; {_AGAIN}"
        raise AttachError("weights-unproven", reason, file=card.model.id)
    if scanned is not None:
        _check_indices(scanned, target)
    for file in card.model.files:
        now = target.get(file.name)  # once: it may be digested now
        if now is None:
            raise AttachError(
                "weights-differ", f"it was scanned and is not there; {_AGAIN}", file=file.name
            )
        before = scanned.get(file.name) if scanned is not None else None
        if scanned is not None:
            _check_file(file, before, "at the commit that the card names")
        _check_file(file, now, "now")
        _check_proven(file, before, now)


def _check_indices(scanned: Weights, target: Weights) -> None:
    """Compares the files that say which shards or components a model consists of."""
    for name in sorted(scanned.keys() | target.keys()):
        if _INDEX.fullmatch(name) and scanned.get(name) != target.get(name):
            reason = f"it has changed since the commit that the card names; {_AGAIN}"
            raise AttachError("weights-differ", reason, file=name)


def _check_file(file: ModelFile, there: WeightFile | None, when: str) -> None:
    """Compares what the card knows of a file with what is there, as far as both say."""
    same = there is not None and there.bytes == file.bytes
    digests = {_sha256(file), there.sha256 if there is not None else None} - {None}
    if not same or len(digests) > 1:
        reason = f"it is not the file that was scanned, {when}; {_AGAIN}"
        raise AttachError("weights-differ", reason, file=file.name)


def _check_proven(file: ModelFile, before: WeightFile | None, now: WeightFile) -> None:
    """Demands that equal content was shown: by sha256, or by the source's own ids."""
    if _sha256(file) is not None and now.sha256 is not None:
        return
    if before is None or before.content is None or now.content is None:
        reason = (
            "nothing shows that it is the file that was scanned, for the card has no sha256 of it; "
            "scan again with --sha256"
        )
        raise AttachError("weights-unproven", reason, file=file.name)
    if before.content != now.content:
        reason = f"it has changed since the commit that the card names; {_AGAIN}"
        raise AttachError("weights-differ", reason, file=file.name)


def _sha256(file: ModelFile) -> str | None:
    """Returns the sha256 that the card has of a file; None where it has none."""
    digest = file.digest
    return digest.value if digest and digest.algorithm == "sha256" else None

"""From a card to a published report: the road, and what a publisher is.

Takes a target's name, what to do, and a card or the means to scan; gives what was planned and what
was done. A card is published only beside the weights that it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from thermoscan.attaching.plan import FILES, Plan, card_there, plan_of
from thermoscan.attaching.weights import Weights, check_weights
from thermoscan.card import Card
from thermoscan.errors import AttachError, OptionError, SourceError
from thermoscan.plugins import reporter


class Way(Enum):
    """What to do with a report."""

    SHOW = "show the diff and change nothing"
    WRITE = "write the files into the folder"
    COMMIT = "commit to the branch"
    PULL_REQUEST = "open a pull request, or update the one that is open"
    COMMENT = "post the section in a discussion"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a report goes, as it is now.

    Attributes:
        id: Id of the repository, or name of the folder.
        source: What to scan to get the weights of exactly this state.
        revision: Branch that was asked for; None for the default, and for a folder.
        commit: What the revision is at; None for a folder.
        files: The files of a report that are there, of those that were asked for.
        weights: The weight files, or more; a digest may be computed when it is looked up.
    """

    id: str
    source: str
    revision: str | None
    commit: str | None
    files: Mapping[str, bytes]
    weights: Weights


class Publisher(Protocol):
    """Puts reports into one kind of place. Registered in the group ``thermoscan.publishers``.

    Attributes:
        default: What it does where nothing else is asked for.
    """

    default: Way

    def claims(self, target: str) -> bool:
        """Says, without touching the network, whether `target` is this publisher's kind of name."""
        ...

    def read(self, target: str, revision: str | None, files: Collection[str], way: Way) -> Place:
        """Returns what is at `target` now, with the contents of those of `files` that are there.

        What is sure to stand in this way later is said now: a scan may take long.

        Raises:
            OptionError: This way, or a revision, makes no sense here.
            SourceError: There is no such place, or it cannot be read, or this way needs a token.
            AttachError: A file is too long to be a model card, or a card.
        """
        ...

    def pending(self, place: Place) -> str | None:
        """Returns the revision of our open pull request; None where there is none.

        Raises:
            SourceError: The hub refuses, or is out of reach.
        """
        ...

    def publish(self, place: Place, plan: Plan, comment: str, way: Way) -> str:
        """Carries out `plan`, or posts `comment`, as `way` says; returns what was done, in words.

        Raises:
            SourceError: It is not allowed, or `place` has moved meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `card` is None where the model is to be scanned."""

    target: str
    way: Way
    revision: str | None = None
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """What was planned, and what was done in words; None where nothing was.

    `revision` is what the plan is for: the pull request's, where one is open.
    """

    plan: Plan
    done: str | None
    revision: str | None


def attach(request: Request, publisher: Publisher, scan: Callable[[Place], Card]) -> Attached:
    """Publishes a report as `request` asks, or nothing where it is there already.

    Args:
        request: What was asked for.
        publisher: Of the target.
        scan: Makes the card of a place; called where the request brings none.

    Raises:
        ThermoscanError: What `Publisher`, the scan and `thermoscan.attaching` raise.
    """
    target, way = request.target, request.way
    place = publisher.read(target, request.revision, FILES, way)
    if way is Way.PULL_REQUEST and place.revision is not None:
        reason = "a pull request goes to the default branch; name no revision"
        raise OptionError("pull-request-revision", reason, file=target)
    card = request.card or scan(place)
    if request.card is not None or place.commit is not None:
        check_card(card, place, publisher)
    card = _settled(card, place.files, place, publisher)
    plan = plan_of(card, place.files)
    if way is Way.PULL_REQUEST and plan.changes:
        pending = publisher.pending(place)
        if pending is not None:
            branch = publisher.read(place.source, pending, FILES, Way.SHOW)
            card = _settled(card, branch.files, place, publisher)
            place, plan = branch, plan_of(card, branch.files)
    if way is Way.SHOW or (way is not Way.COMMENT and not plan.changes):
        return Attached(plan, None, place.revision)
    comment = reporter("comment").render(card)
    return Attached(plan, publisher.publish(place, plan, comment, way), place.revision)


def check_card(card: Card, place: Place, publisher: Publisher) -> None:
    """Makes sure that `card` is of the weights at `place`, and of the commit that it names.

    A card that names a commit is of one repository. A card from disk names none: it is taken by any
    repository whose weights have its sha256.

    Raises:
        AttachError: ``card-other-model``, ``weights-differ`` or ``weights-unproven``.
        SourceError: The commit that it names is not there.
    """
    commit = card.model.revision
    if place.commit is None or commit is None:
        check_weights(card, None, place.weights)
        return
    if card.model.id.casefold() != place.id.casefold():
        reason = (
            "the card is of another repository, and names a commit of that; scan this one, or "
            "attach a card of the same weights that was scanned on disk with --sha256"
        )
        raise AttachError("card-other-model", reason, file=card.model.id)
    check_weights(card, _weights_at(commit, place, publisher), place.weights)


def _weights_at(commit: str, place: Place, publisher: Publisher) -> Weights:
    if commit == place.commit:
        return place.weights
    return publisher.read(place.source, commit, (), Way.SHOW).weights


def _settled(card: Card, files: Mapping[str, bytes], place: Place, publisher: Publisher) -> Card:
    """Returns the card in `files`, where that says the same and is true of the weights there."""
    there = card_there(card, files)
    if there is None or there.model.revision in (None, card.model.revision):
        return there or card
    try:
        check_card(there, place, publisher)
    except (AttachError, SourceError):
        return card
    return there

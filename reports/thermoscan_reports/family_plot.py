"""Pictures of families: the reduced temperature of every member against depth, overlaid.

Takes an `Overview`; gives a `FamilyPicture` for each of the largest families, all on one axis. Up
to `LINES` members have a line each; of more, the envelope, the quartiles and the median are drawn,
and lines for the members whose τ is an outlier, so that a picture has one size at any number.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from thermoscan.catalogue.index import PROFILE_POINTS
from thermoscan_reports.axes import PROFILE, Canvas, Frame, Tick, canvas_of, ticks_y
from thermoscan_reports.deviations import Deviation
from thermoscan_reports.index_data import Family, Overview
from thermoscan_reports.index_models import Model
from thermoscan_reports.numbers import shown

FAMILIES = 8
LINES = 12
OUTLIERS = 5
LOWEST, HIGHEST = 1e-3, 1e3
"""Ends of the axis at most; what lies beyond is drawn at them."""

_TEXT = 12
_FRAME = Frame(340, 190, left=42, right=42, top=8, bottom=24)


@dataclass(frozen=True)
class Line:
    """A member's profile as SVG path commands, what it is called, whether its τ is an outlier."""

    path: str
    title: str
    unlike: bool


@dataclass(frozen=True)
class FamilyPicture:
    """A family's picture.

    Attributes:
        name: The architecture, or the structure.
        facts: How many members, and what is known of them, in words.
        lines: Members; outliers last, so that they lie on top.
        band: From the least to the greatest value as SVG path commands; empty where every member
            has a line, as the next two.
        box: From the lower to the upper quartile.
        middle: The median.
    """

    name: str
    facts: str
    lines: tuple[Line, ...]
    band: str
    box: str
    middle: str


@dataclass(frozen=True)
class FamilyPictures:
    """The pictures, the axis that they share, and how many families have none.

    `lines` is `LINES` where a family has more members than that; else None.
    """

    pictures: tuple[FamilyPicture, ...]
    lines: int | None
    frame: Frame
    ticks_y: tuple[Tick, ...]
    landmarks: tuple[Tick, ...]
    more: int


def pictures_of(overview: Overview) -> FamilyPictures:
    """Returns the pictures of the largest families of `overview`."""
    drawn = overview.families[:FAMILIES]
    canvas = canvas_of(PROFILE, _ends(overview, drawn), _FRAME, PROFILE_POINTS)
    pictures = tuple(_picture(overview, family, canvas) for family in drawn)
    return FamilyPictures(
        pictures=pictures,
        lines=LINES if any(picture.band for picture in pictures) else None,
        frame=_FRAME,
        ticks_y=tuple(Tick(round(canvas.y(at)), f"{at:g}") for at in ticks_y(canvas)),
        landmarks=_landmarks(canvas),
        more=len(overview.families) - len(drawn),
    )


def _ends(overview: Overview, families: Iterable[Family]) -> list[float]:
    """Values that hold all others between them, within the ends of the axis."""
    found: set[float] = set()
    for family in families:
        for at in family.members:
            known = [value for value in overview.models[at].profile if not math.isnan(value)]
            found = {min(found.union(known)), max(found.union(known))} if known else found
    return [min(max(end, LOWEST), HIGHEST) for end in sorted(found)]


def _landmarks(canvas: Canvas) -> tuple[Tick, ...]:
    """Those of a profile whose names there is room for, the lowest first."""
    found: list[Tick] = []
    for value, name in PROFILE.landmarks:
        at = round(canvas.y(value))
        if not found or found[-1].at - at >= _TEXT:
            found.append(Tick(at, name))
    return tuple(found)


def _picture(overview: Overview, family: Family, canvas: Canvas) -> FamilyPicture:
    members = [(at, overview.models[at]) for at in family.members]
    with_profile = [each for each in members if not all(map(math.isnan, each[1].profile))]
    unlike = [at for at, _ in with_profile if _is_unlike(overview.deviations.get(at, ()))]
    many = len(with_profile) > LINES
    shown_lines = unlike[:OUTLIERS] if many else [at for at, _ in with_profile]
    lines = [_line(overview.models[at], at in unlike, canvas) for at in shown_lines]
    band = box = middle = ""
    if many:
        columns = _columns([model.profile for _, model in with_profile])
        band = _area(columns, 0, 4, canvas)
        box = _area(columns, 1, 3, canvas)
        middle = _path([column[2] for column in columns], canvas)
    return FamilyPicture(
        name=family.name,
        facts=_facts(family, len(with_profile), len(unlike)),
        lines=tuple(sorted(lines, key=lambda line: line.unlike)),
        band=band,
        box=box,
        middle=middle,
    )


def _is_unlike(deviations: Sequence[Deviation]) -> bool:
    return any(each.figure.field == PROFILE.path for each in deviations)


def _facts(family: Family, drawn: int, unlike: int) -> str:
    facts = [f"{len(family.members):,} models"]
    if family.reduced_temperature is not None:
        facts.append(f"median τ {shown(family.reduced_temperature)}")
    if drawn < len(family.members):
        facts.append(f"{len(family.members) - drawn:,} without a profile")
    if unlike:
        facts.append(f"{unlike:,} unlike the others in τ")
    if unlike > OUTLIERS and drawn > LINES:
        facts.append(f"{OUTLIERS} of these drawn")
    return ", ".join(facts)


def _line(model: Model, unlike: bool, canvas: Canvas) -> Line:
    title = f"{model.name} · τ {shown(model.figures[0])}"
    return Line(_path(model.profile, canvas), title, unlike)


def _path(profile: Sequence[float], canvas: Canvas) -> str:
    """A line through the values; a short dash where a value stands alone."""
    canvas = replace(canvas, count=len(profile))
    steps, last = [], math.nan
    for place, value in enumerate(profile):
        if not math.isnan(value):
            at = f"{canvas.x(place):.0f} {canvas.y(value):.0f}"
            steps.append(f"M{at}h1" if math.isnan(last) else f"L{at}")
        last = value
    return "".join(steps)


def _columns(profiles: Sequence[array[float]]) -> list[tuple[float, ...]]:
    """The quartiles, from least to greatest value, at each of `PROFILE_POINTS` depths.

    A profile of fewer points repeats its own. NaN where no profile has a value.
    """
    columns = []
    for place in range(PROFILE_POINTS):
        values = (profile[place * len(profile) // PROFILE_POINTS] for profile in profiles)
        known = sorted(value for value in values if not math.isnan(value))
        columns.append(tuple(_quantile(known, quarter / 4) for quarter in range(5)))
    return columns


def _quantile(known: Sequence[float], share: float) -> float:
    """Of sorted values, by the straight line between the two beside it; NaN of none."""
    if not known:
        return math.nan
    place = share * (len(known) - 1)
    low, high = known[math.floor(place)], known[math.ceil(place)]
    return low + (high - low) * (place % 1)


def _area(columns: Sequence[tuple[float, ...]], low: int, high: int, canvas: Canvas) -> str:
    """From one quartile to another, over the depths that have any."""
    filled = [(place, column) for place, column in enumerate(columns) if not math.isnan(column[0])]
    edges = [(place, column[high]) for place, column in filled]
    edges += [(place, column[low]) for place, column in reversed(filled)]
    return f"M{'L'.join(f'{canvas.x(at):.0f} {canvas.y(value):.0f}' for at, value in edges)}z"

"""The profile, the badge and the shields endpoint: well-formed, small, no place for attacks."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest
from support import cards

from thermoscan.card import Card, Finding
from thermoscan_reports.badge_svg import BadgeReporter
from thermoscan_reports.profile_svg import ProfileReporter
from thermoscan_reports.shields import ShieldsReporter

SVG = "{http://www.w3.org/2000/svg}"
DEPTHS = [1, 39, 200, 300, 400, 401, 3000, 20_000]


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


@pytest.mark.parametrize("count", DEPTHS)
def test_the_profile_takes_at_most_20_kb_at_any_depth(count: int) -> None:
    assert len(ProfileReporter().render(cards.of_layers(count)).encode()) <= 20_000


@pytest.mark.parametrize("card", [cards.realistic(), cards.hostile(), cards.bare()])
@pytest.mark.parametrize("reporter", [ProfileReporter, BadgeReporter])
def test_a_picture_is_well_formed_and_holds_nothing_active(
    reporter: type[ProfileReporter | BadgeReporter], card: Card
) -> None:
    root = parsed(reporter().render(card))
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        tag = element.tag.removeprefix(SVG)
        assert tag in {
            "svg",
            "title",
            "desc",
            "style",
            "rect",
            "path",
            "text",
            "g",
            "circle",
            "clipPath",
        }
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert "href" not in name
            assert name != "style"
            assert "http" not in value or name == "xmlns"


def test_the_profile_names_its_model_and_describes_itself() -> None:
    root = parsed(ProfileReporter().render(cards.realistic()))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == "sentence-transformers/all-MiniLM-L6-v2: Reduced temperature τ"
    assert description is not None
    assert "39 of 39 layers" in (description.text or "")
    assert root.get("aria-labelledby") == "t d"


def test_the_profile_has_its_own_ground_as_large_as_itself() -> None:
    root = parsed(ProfileReporter().render(cards.realistic()))
    ground = root.find(f"{SVG}rect")
    assert ground is not None
    assert (ground.get("width"), ground.get("height")) == (root.get("width"), root.get("height"))


def test_the_profile_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    golden("profile.svg", ProfileReporter().render(cards.realistic()))


def test_the_badge_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    golden("badge.svg", BadgeReporter().render(cards.realistic()))


def graded(severity: str) -> Card:
    finding = Finding("x", severity, None, "m", "m", "a", {})
    return replace(cards.realistic(), findings=(finding,))


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (graded("info"), "τ 2.62 · healthy"),
        (graded("warning"), "τ 2.62 · look"),
        (graded("error"), "τ 2.62 · broken"),
        (cards.bare(), "look"),
        (replace(graded("info"), sampling=cards.sampled().sampling), "τ 2.62 · healthy (sample)"),
    ],
)
def test_badge_and_endpoint_say_the_same(card: Card, message: str) -> None:
    badge = BadgeReporter().render(card)
    assert len(badge.encode()) <= 2_000
    root = parsed(badge)
    assert root.get("aria-label") == f"thermoscan: {message}"
    endpoint = json.loads(ShieldsReporter().render(card))
    assert endpoint["schemaVersion"] == 1
    assert (endpoint["label"], endpoint["message"]) == ("thermoscan", message)
    assert f"#{endpoint['color']}" in badge


def test_a_badge_is_as_wide_as_its_two_halves() -> None:
    root = parsed(BadgeReporter().render(cards.realistic()))
    left, right = (rect for rect in root.findall(f"{SVG}g/{SVG}rect"))
    width = int(root.get("width", "0"))
    assert int(left.get("width", "0")) == int(right.get("x", "-1"))
    assert int(left.get("width", "0")) + int(right.get("width", "0")) == width

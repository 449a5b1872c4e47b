"""The page as text: sizes, its Content-Security-Policy, and that hostile names stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import cards, packed_layers
from support.spectral_cards import with_spectra

from thermoscan_reports.html_report import HtmlReporter
from thermoscan_reports.plot import TITLED

PAGE = HtmlReporter().render(cards.realistic())
HOSTILE = HtmlReporter().render(cards.hostile())


class Elements(HTMLParser):
    """Collects every start tag with its attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in self.raw and self.cdata_elem is not None:
            self.raw[self.tags[-1][0]].append(data)


@pytest.mark.parametrize(
    ("count", "limit"),
    [
        (39, 40_000),
        (TITLED, 40_000),
        (TITLED + 1, 40_000),
        (150, 40_000),
        (300, 40_000),
        (10_000, 150_000),
        (100_000, 1_000_000),
    ],
)
def test_the_page_is_small_at_any_depth(count: int, limit: int) -> None:
    assert len(HtmlReporter().render(cards.of_layers(count)).encode()) <= limit


def test_spectra_cost_a_card_without_them_nothing() -> None:
    """30,926 bytes were in the page, packed rows left out, before there were spectra."""
    assert len(PAGE.replace(packed_layers.packed_of(PAGE), "").encode()) <= 30_926 + 10


@pytest.mark.parametrize(("count", "limit"), [(39, 42_000), (300, 50_000), (10_000, 155_000)])
def test_a_page_with_spectra_is_somewhat_larger(count: int, limit: int) -> None:
    assert len(HtmlReporter().render(with_spectra(cards.of_layers(count))).encode()) <= limit


def test_a_page_about_a_sample_is_as_small() -> None:
    sampled = cards.sampled()
    layers = [cards.estimated(each) for each in cards.of_layers(10_000).layers]
    card = replace(sampled, layers=tuple(layers))
    assert len(HtmlReporter().render(sampled).encode()) <= 40_000
    assert len(HtmlReporter().render(card).encode()) <= 150_000


def test_the_page_of_a_sample_says_so_and_what_it_could_not_look_for() -> None:
    page = HtmlReporter().render(cards.sampled())
    assert "Estimated from 4.7 % of the bytes, with 95 % intervals" in page
    assert "95 %: 2.50 to 2.75. Fan-in" in page
    assert "Not looked for: constant, dead units (only a sample of its bytes was read)." in page
    assert ">± τ</button>" in page and ">± J</button>" in page
    assert "of the bytes, with" not in HtmlReporter().render(cards.realistic())


@pytest.mark.parametrize("ends", [(1e308, -1e308), (-1.7e308, 1.7e308), (0.0, 0.0)])
def test_the_page_of_a_sample_takes_the_intervals_of_a_card_that_somebody_else_wrote(
    ends: tuple[float, float],
) -> None:
    card = cards.sampled()
    layers = tuple(replace(each, intervals={"order": ends}) for each in card.layers)
    summary = replace(card.summary, intervals={"order": ends})
    page = HtmlReporter().render(replace(card, layers=layers, summary=summary))
    assert "Infinity" not in page


def test_a_page_about_a_run_a_base_and_spectra_is_larger_by_a_third_at_most() -> None:
    assert len(HtmlReporter().render(cards.complete()).encode()) <= 53_000


@pytest.mark.parametrize("page", [PAGE, HOSTILE])
def test_the_policy_allows_exactly_the_one_style_and_the_one_script(page: str) -> None:
    elements = Elements(page)
    (policy,) = (
        attributes["content"] or ""
        for _, attributes in elements.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    (style,) = elements.raw["style"]
    (script,) = (text for text in elements.raw["script"] if "(async" in text)
    for text, rule in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


@pytest.mark.parametrize("page", [PAGE, HOSTILE, HtmlReporter().render(cards.of_layers(500))])
def test_the_page_has_no_inline_style_no_handler_and_no_address_but_the_paper(page: str) -> None:
    elements = Elements(page)
    allowed = {"https://arxiv.org/abs/2404.13218"}
    for tag, attributes in elements.tags:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form", "video", "audio"}
        for name, value in attributes.items():
            assert name != "style"
            assert not name.startswith("on")
            if name in {"href", "src"}:
                text = value or ""
                assert text.startswith(("#", "data:image/svg+xml,")) or text in allowed
    assert [tag for tag, _ in elements.tags].count("script") == 2


def test_hostile_names_are_there_and_are_text() -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in HOSTILE
    assert "<script>alert" not in HOSTILE
    assert "<svg onload" not in HOSTILE
    assert "{{ 7*7 }}" in HOSTILE
    for character in ("\x1b", "\u202e", "\u2066", "\u200b", "\x00", "\ud800", "\u2028"):
        assert character not in HOSTILE


def test_hostile_names_are_shortened() -> None:
    assert "x" * 501 not in HOSTILE


def test_the_script_is_under_two_kilobytes() -> None:
    (script,) = (text for text in Elements(PAGE).raw["script"] if "(async" in text)
    assert len(script.encode()) < 2_000


def test_a_page_without_layers_has_no_script_and_no_table_of_layers() -> None:
    page = HtmlReporter().render(cards.bare())
    assert "<script" not in page
    assert 'id="layers"' not in page
    assert "no weight matrix in this checkpoint" in page.lower()


def test_the_page_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    """The packed table is compared unpacked: zlib's versions differ in how they compress."""
    packed = packed_layers.packed_of(PAGE)
    columns = json.dumps(packed_layers.decoded(packed), indent=1)
    golden("card.html", PAGE.replace(packed, ""))
    golden("card-layers.json", columns + "\n")


def test_the_same_card_gives_the_same_page() -> None:
    assert HtmlReporter().render(cards.realistic()) == PAGE


def test_rendering_imports_jinja_and_nothing_else_that_is_heavy() -> None:
    code = (
        "import sys; from support import cards; from thermoscan_reports.html_report import *\n"
        "HtmlReporter().render(cards.realistic())\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    folder = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    modules = set(re.findall(r"'(\w+)'", result.stdout))
    assert "jinja2" in modules
    assert not modules & {"numpy", "numba", "pydantic", "pandas", "rich", "torch", "click"}

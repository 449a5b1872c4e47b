"""The page in a real browser: quiet, accessible, sortable, linkable, readable with scripts off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from support import cards
from support.browsing import Opened, Scheme, Visit
from support.spectral_cards import with_spectra

from thermoscan.card import Card
from thermoscan_reports.html_report import HtmlReporter
from thermoscan_reports.layer_table import ROWS
from thermoscan_reports.numbers import shown

pytestmark = pytest.mark.browser

CARDS: dict[str, Callable[[], Card]] = {
    "realistic": cards.realistic,
    "complete": cards.complete,
    "hostile": cards.hostile,
    "bare": cards.bare,
    "300": lambda: cards.of_layers(300),
    "5000": lambda: with_spectra(cards.of_layers(5000)),
}
Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every page, rendered once."""
    found = tmp_path_factory.mktemp("pages")
    for name, card in CARDS.items():
        (found / f"{name}.html").write_text(HtmlReporter().render(card()), "utf-8")
    return found


@pytest.fixture
def opened(visit: Visit, folder: Path) -> Open:
    """Opens the page of a card of `CARDS`; on a fragment, in colours, in a width, with scripts."""

    def open_(
        name: str,
        fragment: str = "",
        scheme: Scheme = "light",
        width: int = 1280,
        script: bool = True,
    ) -> Opened:
        url = f"{(folder / f'{name}.html').as_uri()}{fragment}"
        found = visit(url, scheme, width, script)
        if script and name != "bare":
            found.page.wait_for_selector("#tools:visible")
        return found

    return open_


def column(page: Page, place: int) -> list[str]:
    return page.locator(f"#layers tbody tr > :nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("name", CARDS)
def test_the_page_asks_for_nothing_and_says_nothing_to_the_console(opened: Open, name: str) -> None:
    found = opened(name)
    outside = [url for url in found.requests[1:] if not url.startswith(("data:", "blob:"))]
    assert outside == []
    assert found.messages == []


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("realistic", 1280, "light"),
        ("realistic", 1280, "dark"),
        ("complete", 1280, "light"),
        ("complete", 390, "dark"),
        ("300", 390, "light"),
        ("300", 390, "dark"),
        ("hostile", 1280, "light"),
        ("bare", 1280, "dark"),
    ],
)
def test_axe_finds_no_violation(opened: Open, name: str, width: int, scheme: Scheme) -> None:
    result = Axe().run(opened(name, scheme=scheme, width=width).page)
    assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("name", CARDS)
def test_the_page_has_at_most_1500_elements(opened: Open, name: str) -> None:
    assert opened(name).page.locator("*").count() <= 1_500


@pytest.mark.parametrize("name", CARDS)
def test_the_page_never_scrolls_sideways(opened: Open, name: str) -> None:
    page = opened(name).page
    for width in (320, 390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["realistic", "complete", "hostile", "300"])
def test_the_script_shows_the_same_first_page_as_the_server(opened: Open, name: str) -> None:
    with_script, without = opened(name).page, opened(name, script=False).page
    server, client = (page.locator("#layers tbody tr") for page in (without, with_script))
    assert server.all_inner_texts() == client.all_inner_texts()
    seen = "rows => rows.map(row => [row.id, row.className, ...[...row.cells].map(c => c.title)])"
    assert server.evaluate_all(seen) == client.evaluate_all(seen)


def test_without_script_everything_but_the_later_rows_is_readable(opened: Open) -> None:
    page = opened("300", script=False).page
    text = page.locator("body").inner_text()
    assert "with scripts off, the JSON card has the rest" in text
    assert "Reduced temperature" in text
    assert f"{len(cards.of_layers(300).findings)} things to look at: hot." in text
    assert page.locator("#layers tbody tr").count() == ROWS
    assert not page.locator("#tools").is_visible()


def test_a_number_that_is_missing_says_why(opened: Open) -> None:
    page = opened("realistic").page
    cell = page.locator("#layers tbody tr").nth(1).locator("td").last
    assert cell.inner_text() == "–"
    assert cell.get_attribute("title") == "no nonlinearity follows it"


def test_a_column_sorts_down_then_up_with_missing_numbers_last(opened: Open) -> None:
    card = cards.of_layers(300)
    page = opened("300").page
    efficiencies = [x.engine.efficiency or 0 for x in card.layers if x.engine is not None]
    button = page.locator("thead button").nth(4)
    button.click()
    assert column(page, 7) == [shown(x) for x in sorted(efficiencies, reverse=True)[:ROWS]]
    assert page.locator("thead th").nth(6).get_attribute("aria-sort") == "descending"
    button.click()
    assert column(page, 7) == [shown(x) for x in sorted(efficiencies)[:ROWS]]
    assert page.locator("thead th").nth(6).get_attribute("aria-sort") == "ascending"


def test_sorting_by_layer_gives_the_order_of_the_model_by_keyboard_too(opened: Open) -> None:
    page = opened("300").page
    page.locator("thead button").first.focus()
    page.keyboard.press("Enter")
    names = [layer.name for layer in cards.of_layers(300).layers[:ROWS]]
    assert column(page, 1) == names


def test_filter_and_pages_reach_every_layer(opened: Open) -> None:
    page = opened("300").page
    queries = [x.name for x in cards.of_layers(300).layers if x.role == "attention query"]
    page.locator("thead button").first.click()
    page.fill("#q", "QUERY")
    seen = column(page, 1)
    while page.locator("#next").is_enabled():
        page.click("#next")
        seen += column(page, 1)
    assert seen == queries
    assert page.locator("#at").inner_text() == f"31–{len(queries)} of {len(queries)}"
    page.click("#prev")
    assert column(page, 1) == queries[:ROWS]
    page.fill("#q", "no such layer")
    assert page.locator("#at").inner_text() == "0–0 of 0"


@pytest.mark.parametrize("index", [0, 150, 299])
def test_a_deep_link_opens_the_page_of_its_layer_and_shows_it(opened: Open, index: int) -> None:
    page = opened("300", fragment=f"#layer-{index}").page
    row = page.locator(f"#layer-{index}")
    assert row.locator("th").inner_text() == cards.of_layers(300).layers[index].name
    expect(row).to_be_in_viewport()
    assert page.locator("tr:target").get_attribute("id") == f"layer-{index}"


def test_a_finding_leads_to_its_layer_even_when_a_filter_hides_it(opened: Open) -> None:
    page = opened("realistic").page
    page.fill("#q", "embedding")
    assert page.locator("#layer-38").count() == 0
    page.click(".finding a[href='#layer-38']")
    page.wait_for_selector("#layer-38:target")
    assert page.locator("#layer-38 th").inner_text() == "pooler.dense.weight"


def test_a_ring_in_the_picture_leads_to_its_layer(opened: Open) -> None:
    page = opened("realistic").page
    page.locator(".profile a[href='#layer-38'] circle").click()
    page.wait_for_selector("#layer-38:target")


@pytest.mark.parametrize("fragment", ["#layer-", "#layer-1e1", "#layer-9999", "#layer--1", "#x"])
def test_a_link_to_no_layer_leaves_the_first_page(opened: Open, fragment: str) -> None:
    found = opened("300", fragment=fragment)
    assert found.page.locator("#at").inner_text() == "1–30 of 300"
    assert found.messages == []


def test_on_paper_there_are_no_controls_and_the_ground_is_white(opened: Open) -> None:
    page = opened("realistic", scheme="dark").page
    page.emulate_media(media="print")
    assert not page.locator("#tools").is_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert ink == "rgb(0, 0, 0)"

"""The index in a real browser: quiet, accessible, sorted, filtered, readable with scripts off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from support import cards, index_entries
from support.browsing import Opened, Scheme, Visit

from thermoscan.catalogue.index import IndexEntry
from thermoscan_reports.index import HtmlIndex
from thermoscan_reports.index_data import overview_of
from thermoscan_reports.layer_table import ROWS
from thermoscan_reports.numbers import shown

pytestmark = pytest.mark.browser

MANY_FAMILIES = 60


def families() -> Iterable[IndexEntry]:
    """As many families as have pictures, each with as many lines as are drawn, and many more."""
    for entry in index_entries.of_models(500):
        number = int(entry.name.rpartition("-")[2])
        family = number % 8 if number < 96 else number % MANY_FAMILIES
        yield IndexEntry(
            f"models/{number:03}",
            "scanned",
            card="cards/a/card.html",
            architecture=f"Family{family:02}",
            reduced_temperature=entry.reduced_temperature or 1.0,
            findings={"error": 1, "warning": 2, "info": 3},
            worst=("non-finite",),
            profile=entry.profile or (1.0, 2.0),
        )


INDEXES: dict[str, Callable[[], Iterable[IndexEntry]]] = {
    "none": lambda: (),
    "two": lambda: [index_entries.of_card(cards.realistic(), name) for name in "ab"],
    "500": lambda: index_entries.of_models(500),
    "families": families,
    "1203": lambda: index_entries.of_models(1203),
    "hostile": index_entries.hostile,
}
Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of every index, rendered once."""
    found = tmp_path_factory.mktemp("indexes")
    for name, entries in INDEXES.items():
        (found / name).mkdir()
        for file, text in HtmlIndex().render(entries()):
            (found / name / file).write_text(text, "utf-8")
    return found


@pytest.fixture
def opened(visit: Visit, folder: Path) -> Open:
    """Opens an index of `INDEXES`."""

    def open_(
        name: str,
        scheme: Scheme = "light",
        width: int = 1280,
        script: bool = True,
        file: str = "index.html",
    ) -> Opened:
        found = visit((folder / name / file).as_uri(), scheme, width, script)
        if script:
            found.page.wait_for_selector("#tools:visible")
        return found

    return open_


def column(page: Page, heading: str) -> list[str]:
    """The cells of a column in the rows that are on show and have it."""
    headings = [text.strip() for text in page.locator("#list thead th").all_inner_texts()]
    place = headings.index(heading)
    rows = page.locator("#list tbody tr")
    cells = "(rows, place) => rows.map(row => row.cells[place]?.innerText ?? '')"
    found: list[str] = rows.evaluate_all(cells, place)
    return found


def by_name(name: str) -> dict[str, IndexEntry]:
    return {entry.name: entry for entry in INDEXES[name]()}


@pytest.mark.parametrize("name", INDEXES)
def test_the_page_asks_for_nothing_and_says_nothing_to_the_console(opened: Open, name: str) -> None:
    found = opened(name)
    outside = [url for url in found.requests[1:] if not url.startswith(("data:", "blob:"))]
    assert outside == []
    assert found.messages == []


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("500", 1280, "light"),
        ("500", 1280, "dark"),
        ("500", 390, "light"),
        ("500", 390, "dark"),
        ("families", 1280, "dark"),
        ("1203", 1280, "light"),
        ("1203", 390, "dark"),
        ("hostile", 1280, "light"),
        ("none", 1280, "light"),
    ],
)
def test_axe_finds_no_violation(opened: Open, name: str, width: int, scheme: Scheme) -> None:
    result = Axe().run(opened(name, scheme=scheme, width=width).page)
    assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("name", INDEXES)
def test_the_page_has_at_most_1500_elements(opened: Open, name: str) -> None:
    assert opened(name).page.locator("*").count() <= 1_500


@pytest.mark.parametrize("name", INDEXES)
def test_the_page_never_scrolls_sideways(opened: Open, name: str) -> None:
    page = opened(name).page
    for width in (320, 390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["two", "500", "families", "1203", "hostile"])
def test_the_script_draws_the_same_first_rows_as_the_server(opened: Open, name: str) -> None:
    with_script, without = opened(name).page, opened(name, script=False).page
    server, client = (page.locator("#list tbody tr") for page in (without, with_script))
    seen = """rows => rows.map(row => [row.className, ...[...row.cells].map(cell => [
        cell.tagName, cell.innerText.trim(), cell.colSpan, cell.scope,
        cell.querySelector('a')?.getAttribute('href'),
        ...['viewBox', 'preserveAspectRatio', 'role', 'aria-label'].map(
            name => cell.querySelector('svg')?.getAttribute(name)),
        cell.querySelector('path')?.getAttribute('d')])])"""
    assert server.evaluate_all(seen) == client.evaluate_all(seen)
    assert client.count() > 0


def test_the_first_screen_says_how_many_and_what_stands_out_and_families_begin_on_it(
    opened: Open,
) -> None:
    page = opened("500").page
    tops = {
        key: page.locator(key).bounding_box() for key in (".counts", ".lists", "#families-title")
    }
    assert all(box is not None and box["y"] + box["height"] / 9 < 800 for box in tops.values())
    lists = page.locator(".lists").bounding_box()
    assert lists is not None and lists["y"] + lists["height"] <= 800


def test_without_script_every_model_of_the_page_is_readable(opened: Open) -> None:
    page = opened("500", script=False).page
    names = page.locator("table tbody th").all_inner_texts()
    assert sorted(names) == sorted(by_name("500"))
    assert not page.locator("#tools").is_visible()
    headings = [len(page.locator(f"table >> nth={at} >> thead th").all()) for at in (0, 1)]
    assert headings[0] == headings[1] + 1
    refused = page.locator("tr", has_text="worker-died: its worker died twice").first
    assert refused.is_visible()


@pytest.mark.parametrize(
    ("heading", "field"), [("τ", "reduced_temperature"), ("T*", "transition_temperature")]
)
def test_numbers_sort_down_then_up_with_missing_ones_last(
    opened: Open, heading: str, field: str
) -> None:
    page = opened("500").page
    known = sorted(
        value for entry in by_name("500").values() if (value := getattr(entry, field)) is not None
    )
    button = page.locator("#list thead button", has_text=heading).first
    cell = button.locator("xpath=..")
    button.click()
    assert column(page, heading) == [shown(value) for value in known[::-1][:ROWS]]
    assert cell.get_attribute("aria-sort") == "descending"
    button.click()
    assert column(page, heading) == [shown(value) for value in known[:ROWS]]
    assert cell.get_attribute("aria-sort") == "ascending"
    others = page.locator("#list thead [aria-sort]:not([aria-sort=none])")
    assert others.count() == 1


def test_names_sort_up_first_by_keyboard_too_and_the_number_sign_restores_the_order(
    opened: Open,
) -> None:
    page = opened("500").page
    page.locator("#list thead button", has_text="Model").focus()
    page.keyboard.press("Enter")
    assert column(page, "Model") == sorted(by_name("500"), key=str.casefold)[:ROWS]
    page.locator("#list thead button", has_text="#").click()
    assert column(page, "#") == [str(place) for place in range(1, ROWS + 1)]
    names = [model.name for model in overview_of(INDEXES["500"]()).models]
    assert column(page, "Model") == names[:ROWS]


def test_findings_sort_by_the_worst_severity_then_by_number(opened: Open) -> None:
    page = opened("500").page
    entries = by_name("500")
    page.locator("#list thead button", has_text="Findings").click()
    counts = [
        tuple(entry.findings.get(key, 0) for key in ("error", "warning", "info"))
        for entry in entries.values()
    ]
    shown_counts = [
        tuple(entries[name].findings.get(key, 0) for key in ("error", "warning", "info"))
        for name in column(page, "Model")
    ]
    assert shown_counts == sorted(counts, reverse=True)[:ROWS]


def test_the_farthest_from_their_families_come_first_when_sorted_by_that(opened: Open) -> None:
    page = opened("500").page
    page.locator("#list thead button", has_text="Unlike its family").click()
    overview = overview_of(INDEXES["500"]())
    distances = {overview.models[at].name: d[0].distance for at, d in overview.deviations.items()}
    names = column(page, "Model")[: len(distances)]
    assert [distances[name] for name in names] == sorted(distances.values(), reverse=True)


def test_filters_of_text_status_architecture_and_severity_act_together(opened: Open) -> None:
    page = opened("500").page
    entries = by_name("500").values()
    page.select_option("#kind", "LlamaForCausalLM")
    page.select_option("#worst", "warning")
    page.fill("#q", "LARGE")
    expected = [
        entry
        for entry in entries
        if entry.architecture == "LlamaForCausalLM"
        and "warning" in entry.findings
        and "error" not in entry.findings
        and "large" in entry.name
    ]
    assert 1 < len(expected) <= ROWS
    assert sorted(column(page, "Model")) == sorted(entry.name for entry in expected)
    page.select_option("#status", "sampled")
    sampled = [entry.name for entry in expected if entry.sampled]
    assert sorted(column(page, "Model")) == sorted(sampled)
    for key in ("#kind", "#worst", "#status"):
        page.select_option(key, "")
    page.fill("#q", "HEADER is not json")
    refused = [entry.name for entry in entries if entry.code == "header-json"]
    assert sorted(column(page, "Model")) == sorted(refused)
    page.fill("#q", "no such model")
    assert page.locator("#at").inner_text() == "0–0 of 0"


def test_turning_pages_of_rows_reaches_every_model(opened: Open) -> None:
    page = opened("1203", file="index-3.html").page
    seen = column(page, "Model")
    while page.locator("#next").is_enabled():
        page.click("#next")
        seen += column(page, "Model")
    names = [model.name for model in overview_of(INDEXES["1203"]()).models]
    assert seen == names[1000:]
    assert page.locator("#at").inner_text() == "181–203 of 203"
    assert column(page, "#")[-1] == "1203"


def test_links_lead_to_the_other_pages_and_to_the_cards(opened: Open, folder: Path) -> None:
    page = opened("1203").page
    for number in (2, 3, 1):
        page.locator("nav a", has_text=str(number)).click()
        page.wait_for_selector("#tools:visible")
        assert page.locator("nav [aria-current=page]").inner_text() == str(number)
    page.fill("#q", "LlamaForCausalLM")
    link = page.locator("#list tbody a").first
    address = link.evaluate("link => link.href")
    assert address == (folder / "1203" / "cards" / link.inner_text() / "card.html").as_uri()


def test_a_hostile_link_stays_below_the_folder(opened: Open, folder: Path) -> None:
    page = opened("hostile").page
    addresses = page.locator("#list a, .lists a").evaluate_all("all => all.map(a => a.href)")
    assert len(addresses) > 10
    assert all(address.startswith(f"{(folder / 'hostile').as_uri()}/") for address in addresses)


def test_on_paper_there_are_no_controls_and_the_ground_is_white(opened: Open) -> None:
    page = opened("500", scheme="dark").page
    page.emulate_media(media="print")
    assert not page.locator("#tools").is_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert ink == "rgb(0, 0, 0)"


def test_all_rows_that_are_listed_are_printed_and_then_put_away(opened: Open) -> None:
    page = opened("500").page
    page.select_option("#status", "sampled")
    sampled = sum(entry.sampled for entry in by_name("500").values())
    assert sampled > ROWS
    page.click("#next")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(column(page, "Model")) == sampled
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(column(page, "Model")) == ROWS

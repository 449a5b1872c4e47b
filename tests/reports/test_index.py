"""The index as data and as text: what stands out, families, order, pages, sizes, hostile names."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from scipy.stats import norm
from support import cards, index_entries, packed_layers
from support.wheels import path_of as wheel

import thermoscan
from thermoscan import plugins
from thermoscan.catalogue.index import IndexEntry, profile_of
from thermoscan_reports.deviations import deviations_in_words
from thermoscan_reports.family_plot import FAMILIES, LINES, OUTLIERS, pictures_of
from thermoscan_reports.index import MODELS, HtmlIndex, file_name, links_of
from thermoscan_reports.index_data import Overview, overview_of
from thermoscan_reports.index_models import FIGURES, href_of
from thermoscan_reports.layer_table import ROWS
from thermoscan_reports.outlier_lists import SHOWN, lists_of, summary_of
from thermoscan_reports.sparkline import LEVELS, levels_of

ENTRIES = tuple(index_entries.of_models(500))
OVERVIEW = overview_of(ENTRIES)


def pages_of(entries: Iterable[IndexEntry]) -> dict[str, str]:
    return dict(HtmlIndex().render(entries))


PAGE = pages_of(ENTRIES)["index.html"]
HOSTILE = pages_of(index_entries.hostile())["index.html"]


def family_of(values: Iterable[float | None], **same: object) -> list[IndexEntry]:
    """Models of one architecture that differ in T* alone."""
    return [
        IndexEntry(f"m{at:03}", "scanned", architecture="Bert", transition_temperature=value)
        for at, value in enumerate(values)
    ]


def standing_out(overview: Overview) -> dict[str, list[str]]:
    return {
        overview.models[place].name: [each.figure.symbol for each in deviations]
        for place, deviations in overview.deviations.items()
    }


def expected_outliers(entries: Iterable[IndexEntry]) -> dict[tuple[str, str], float]:
    """Model and figure -> MADs from the median, by numpy and scipy from the documentation."""
    rules = {
        "reduced_temperature": (np.log, lambda _: np.log(2)),
        "order": (np.asarray, lambda _: 0.5 * np.log(np.pi / np.e)),
        "transition_temperature": (np.asarray, lambda middle: abs(middle) / 2),
        "work_efficiency": (np.asarray, lambda _: 0.05),
        "bits_per_parameter": (np.asarray, lambda _: 1.0),
        "sparsity": (np.asarray, lambda _: 0.05),
    }
    groups: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for entry in entries:
        for field in rules:
            value = getattr(entry, field)
            if value is not None and entry.architecture:
                kind = str(entry.dtype) if field == "bits_per_parameter" else ""
                key = (field, entry.architecture, kind)
                groups.setdefault(key, []).append((entry.name, value))
    found = {}
    for (field, _, _), members in groups.items():
        scale, least = rules[field]
        values = scale(np.array([value for _, value in members]))
        n, offsets = len(values), np.abs(values - np.median(values))
        if n < 4:
            continue
        mad = np.median(offsets)
        limit = norm.ppf(1 - 0.01 / (2 * n)) * (1 + 10 / (n - 3)) * 1.4826 * mad
        for (name, _), offset in zip(members, offsets, strict=True):
            if offset > limit and offset >= least(np.median(values)):
                found[name, field] = offset / mad if mad else math.inf
    return found


def test_what_is_unlike_its_family_is_what_medians_and_mads_by_numpy_say() -> None:
    expected = expected_outliers(ENTRIES)
    assert len(expected) > 10
    found = {
        (OVERVIEW.models[place].name, each.figure.field): each.mads
        for place, deviations in OVERVIEW.deviations.items()
        for each in deviations
    }
    assert found.keys() == expected.keys()
    for key, mads in found.items():
        assert mads == pytest.approx(expected[key], rel=1e-9)


def test_a_deviation_says_the_figure_how_far_it_is_and_from_what() -> None:
    values = [1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 1.15, 0.85, 1.02, 0.98, 9.0]
    overview = overview_of(family_of(values))
    ((place, (deviation,)),) = overview.deviations.items()
    assert overview.models[place].name == "m011"
    mads = (9.0 - np.median(values)) / np.median(np.abs(values - np.median(values)))
    words = deviations_in_words([deviation])
    assert words == f"T* 9.00, {mads:.1f} MADs above the median 1.01, among 12 Bert"


def test_deviations_among_the_same_models_name_these_once() -> None:
    entries = [
        replace(
            each, order=0.02 if at < 9 else 2.0, sparsity=None if at == 3 else at / 9 * (at > 8)
        )
        for at, each in enumerate(family_of([1.0] * 9 + [9.0]))
    ]
    ((_, found),) = overview_of(entries).deviations.items()
    words = deviations_in_words(found)
    assert words.endswith("; zeros 100 %, where more than half share one value, 0 %, among 9 Bert")
    assert words.count("among 10 Bert") == 1 and words.count("J 2.00") == 1
    assert deviations_in_words(()) == ""


def test_a_figure_below_the_median_is_called_below() -> None:
    values = [1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 1.15, 0.85, 1.02, 0.98, -9.0]
    ((_, (deviation,)),) = overview_of(family_of(values)).deviations.items()
    assert " MADs below the median 0.990" in deviation.words


def test_where_more_than_half_are_equal_no_distance_in_mads_is_claimed() -> None:
    overview = overview_of(family_of([0.5] * 7 + [0.6, 0.9, 2.0]))
    assert standing_out(overview) == {"m008": ["T*"], "m009": ["T*"]}
    (deviation,) = overview.deviations[0]
    assert deviation.words == "T* 0.900, where more than half share one value, 0.500"


def test_of_families_of_fewer_than_four_and_of_values_that_are_missing_nothing_is_said() -> None:
    assert overview_of(family_of([1.0, 1.0, 50.0])).deviations == {}
    assert overview_of(family_of([1.0, 1.0, 50.0, None, None])).deviations == {}
    assert standing_out(overview_of(family_of([1.0, 1.0, 50.0, 1.0, None]))) == {"m002": ["T*"]}
    nameless = [replace(each, architecture=None) for each in family_of([1.0] * 9 + [50.0])]
    assert overview_of(nameless).deviations == {}


def test_models_without_an_architecture_are_a_family_where_their_layers_are_alike() -> None:
    alike = [replace(each, architecture=None, structure="ab" * 8)
             for each in family_of([1.0] * 9 + [50.0])]  # fmt: skip
    other = IndexEntry("other", "scanned", structure="cd" * 8, transition_temperature=9.0)
    overview = overview_of([*alike, other])
    assert standing_out(overview) == {"m009": ["T*"]}
    assert [(each.name, len(each.members)) for each in overview.families] == [
        ("structure abababab", 10)
    ]
    stated = [replace(each, structure="ef" * 8) for each in family_of([1.0, 2.0])]
    assert [each.name for each in overview_of(stated).families] == ["Bert"]


def test_a_difference_that_does_not_matter_is_not_called_one() -> None:
    assert overview_of(family_of([1.0] * 9 + [1.49])).deviations == {}
    assert standing_out(overview_of(family_of([1.0] * 9 + [1.51]))) == {"m009": ["T*"]}


def test_temperatures_are_compared_as_logarithms_and_one_of_zero_is_left_out() -> None:
    def family(last: float) -> list[IndexEntry]:
        values = [2.0, 2.2, 1.8, 2.1, 1.9, 2.3, 1.7, 2.05, 1.95, last]
        return [
            IndexEntry(f"m{at}", "scanned", architecture="Bert", reduced_temperature=value)
            for at, value in enumerate(values)
        ]

    assert standing_out(overview_of(family(0.01))) == {"m9": ["τ"]}
    assert standing_out(overview_of(family(400.0))) == {"m9": ["τ"]}
    assert overview_of(family(0.0)).deviations == {}


def test_bits_are_compared_within_one_element_type() -> None:
    def family(dtypes: str) -> list[IndexEntry]:
        return [
            IndexEntry(
                f"m{at}",
                "scanned",
                architecture="Bert",
                dtype="F32" if dtype == "w" else "BF16",
                bits_per_parameter=24.0 + at / 100 if dtype == "w" else 10.5,
            )
            for at, dtype in enumerate(dtypes)
        ]

    assert overview_of(family("wwwwwwwwwn")).deviations == {}
    mixed = [replace(each, dtype="F32") for each in family("wwwwwwwwwn")]
    ((_, (deviation,)),) = overview_of(mixed).deviations.items()
    assert deviation.family == "Bert in F32"
    assert deviations_in_words([deviation]).endswith(", among 10 Bert in F32")


def test_refused_models_come_first_then_errors_then_the_farthest_then_names_then_skipped() -> None:
    family = family_of([1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 20.0, 90.0])
    broken = [replace(family[0], name=f"e{n}", findings={"error": n}) for n in (1, 3)]
    warned = replace(family[1], name="a", findings={"warning": 9})
    others = [IndexEntry("z", "refused", "x", "y"), IndexEntry("b", "refused", "x", "y"),
              IndexEntry("a", "skipped", "x", "y")]  # fmt: skip
    names = [each.name for each in overview_of([*family, *others, *broken, warned]).models]
    assert names[:7] == ["b", "z", "e3", "e1", "m008", "m007", "a"]
    assert names[7:] == [f"m{at:03}" for at in range(7)] + ["a"]


def test_the_order_of_the_entries_makes_no_difference() -> None:
    assert pages_of(reversed(ENTRIES)) == {"index.html": PAGE}


def test_the_first_screen_counts_every_model_once_by_its_status() -> None:
    numbers = {name: int(value) for name, value in summary_of(OVERVIEW).counts}
    for status in ("refused", "skipped", "scanned"):
        assert numbers[status] == sum(each.status == status for each in ENTRIES)
    assert numbers["of these in a sample"] == sum(each.sampled for each in ENTRIES)
    assert numbers["with errors"] == sum("error" in each.findings for each in ENTRIES)
    expected = {name for name, _ in expected_outliers(ENTRIES)}
    assert numbers["unlike their family"] == len(expected)


def test_the_lists_name_the_worst_with_reasons_and_count_the_rest() -> None:
    refused, broken, unlike = lists_of(OVERVIEW)
    codes = [each.code for each in ENTRIES if each.status == "refused"]
    commonest = max(set(codes), key=codes.count)
    assert refused.items[0].why.startswith(f"{commonest}: ")
    assert refused.items[0].why.endswith(f"; {codes.count(commonest) - 1} more for the same code")
    assert len(refused.items) == len(set(codes))
    errors = sorted((each.findings.get("error", 0) for each in ENTRIES), reverse=True)
    counts = [int(item.why.split()[0]) for item in broken.items]
    assert counts == errors[:SHOWN]
    assert "non finite" in broken.items[0].why
    assert broken.more == sum(each > 0 for each in errors) - SHOWN
    farthest = max(
        (mads, name) for (name, _), mads in expected_outliers(ENTRIES).items() if mads < math.inf
    )
    assert unlike.items[0].name == farthest[1]


def test_a_list_without_a_model_says_so() -> None:
    texts = [each.nothing for each in lists_of(overview_of(())) if not each.items]
    assert len(texts) == 3
    page = pages_of(())["index.html"]
    assert "<h1>0 models</h1>" in page
    assert all(text in page for text in texts)


def profiles_of(count: int, hot: int = 0) -> list[IndexEntry]:
    random = np.random.default_rng(3)
    return [
        IndexEntry(
            f"m{at:03}",
            "scanned",
            architecture="Bert",
            reduced_temperature=float((90 if at < hot else 2) * random.uniform(0.95, 1.05)),
            profile=tuple(
                float(value) for value in (90 if at < hot else 2) * random.lognormal(0, 0.3, 32)
            ),
        )
        for at in range(count)
    ]


def heights(path: str) -> list[float]:
    return [float(y) for _, y in re.findall(r"([-\d.]+) ([-\d.]+)", path)]


@pytest.mark.parametrize("count", [2, LINES])
def test_a_small_family_has_a_line_for_each_member_titled_with_its_name(count: int) -> None:
    (picture,) = pictures_of(overview_of(profiles_of(count))).pictures
    names = [line.title.split(" · ")[0] for line in picture.lines]
    assert names == [f"m{at:03}" for at in range(count)]
    assert picture.facts.startswith(f"{count} models, median τ ")
    assert (picture.band, picture.box, picture.middle) == ("", "", "")


def test_of_a_large_family_the_quartiles_are_those_of_numpy_and_outliers_have_lines() -> None:
    entries = profiles_of(200, hot=OUTLIERS + 2)
    pictures = pictures_of(overview_of(entries))
    (picture,) = pictures.pictures
    assert len(picture.lines) == OUTLIERS and all(line.unlike for line in picture.lines)
    assert picture.facts.endswith(
        f"{OUTLIERS + 2} unlike the others in τ, {OUTLIERS} of these drawn"
    )
    scale = np.polyfit(
        [math.log(float(tick.label)) for tick in pictures.ticks_y],
        [tick.at for tick in pictures.ticks_y],
        1,
    )
    quartiles = np.quantile([each.profile for each in entries], [0, 0.25, 0.5, 0.75, 1], axis=0)
    drawn = np.polyval(scale, np.log(quartiles))
    band, box = heights(picture.band), heights(picture.box)
    np.testing.assert_allclose(band[:32], drawn[4], atol=2)
    np.testing.assert_allclose(band[32:][::-1], drawn[0], atol=2)
    np.testing.assert_allclose(box[:32], drawn[3], atol=2)
    np.testing.assert_allclose(box[32:][::-1], drawn[1], atol=2)
    np.testing.assert_allclose(heights(picture.middle), drawn[2], atol=2)


def test_a_family_is_drawn_with_gaps_short_profiles_and_none() -> None:
    nan = math.nan
    entries = [replace(each, profile=profile) for each, profile in zip(
        profiles_of(4), [(1.0, None, 2.0), (1.0,), (), (None, None)], strict=True)]  # fmt: skip
    (picture,) = pictures_of(overview_of(entries)).pictures
    assert [line.path.count("M") for line in picture.lines] == [2, 1]
    assert "2 without a profile" in picture.facts
    assert levels_of([nan, nan]) == ""


def test_only_the_largest_families_have_a_picture_and_the_page_counts_the_others() -> None:
    entries = [
        replace(each, name=f"{family}-{at}", architecture=f"A{family:02}")
        for family in range(FAMILIES + 3)
        for at, each in enumerate(profiles_of(2 + family % 2))
    ]
    pictures = pictures_of(overview_of(entries))
    assert (len(pictures.pictures), pictures.more) == (FAMILIES, 3)
    assert pictures.pictures[0].name == "A01"
    assert "3 smaller families have no picture" in pages_of(entries)["index.html"]
    assert overview_of(entries[:1]).families == ()


def test_a_sparkline_is_the_profile_on_a_logarithmic_scale() -> None:
    profile = [0.5, 1.0, 2.0, 8.0, math.nan, 4.0]
    levels = levels_of(profile)
    found = [math.nan if each == "." else LEVELS - 1 - int(each, 36) for each in levels]
    logarithms = np.log(np.array(profile) / 0.5) / np.log(16)
    np.testing.assert_allclose(found, (LEVELS - 1) * logarithms, atol=0.51)
    nearly_flat = [int(each, 36) for each in levels_of([1.0, 1.1])]
    apart = (LEVELS - 1) * math.log(1.1) / math.log(4)
    assert nearly_flat[0] - nearly_flat[1] == pytest.approx(apart, abs=1)


def test_the_packed_rows_hold_every_model_and_rank_each_column_by_its_values() -> None:
    packed = packed_layers.decoded(packed_layers.packed_of(PAGE))
    by_name = {each.name: each for each in ENTRIES}
    models = [by_name[name] for name in packed_layers.names(packed)]
    assert len(models) == len(ENTRIES)
    headings = re.findall(r"<button[^>]*>([^<]*)</button>", PAGE)[4:]
    assert len(headings) == len(packed["columns"])
    fields = {figure.symbol: figure.field for figure in FIGURES}
    fields |= {"Parameters": "parameters", "Size": "bytes", "Architecture": "architecture"}
    for heading, column in zip(headings, packed["columns"], strict=True):
        if heading in fields:
            values = [getattr(model, fields[heading]) for model in models]
            known = sorted({value for value in values if value is not None})
            expected = [None if value is None else known.index(value) for value in values]
            assert [column["rows"][at] is None for at in range(500)] == [
                e is None for e in expected
            ]
            order = sorted((rank, e) for rank, e in zip(column["rows"], expected, strict=True)
                           if rank is not None and e is not None)  # fmt: skip
            assert [e for _, e in order] == sorted(e for _, e in order)
    assert [each or None for each in packed["links"]] == [each.card for each in models]
    reasons = [f"{each.code}: {each.reason}" if each.code else None for each in models]
    assert packed["reasons"] == reasons


class Elements(HTMLParser):
    """Collects every start tag with its attributes, and the texts of the table's rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_without_its_script_the_page_has_a_row_for_every_model() -> None:
    rows = re.findall(r'<th scope="row">(?:<a href="[^"]*">)?([^<]*)', PAGE)
    assert sorted(rows) == sorted(each.name for each in ENTRIES)
    (first, rest) = PAGE.split("<noscript>")
    assert first.count('<th scope="row">') == ROWS
    assert f"The other {500 - ROWS} models of this page" in rest


@pytest.mark.parametrize("entries", [ENTRIES[:1], ENTRIES[:ROWS]])
def test_a_page_whose_rows_are_all_there_has_no_second_table(
    entries: tuple[IndexEntry, ...],
) -> None:
    assert "<noscript>" not in pages_of(entries)["index.html"]


def test_a_column_of_refresh_temperatures_is_there_where_any_model_has_one() -> None:
    assert "T*₂" not in PAGE
    entries = [replace(ENTRIES[-1], refresh_temperature=0.25), *ENTRIES[:5]]
    page = pages_of(entries)["index.html"]
    assert ">T*₂</button>" in page and "<td>0.250" in page


def test_a_page_takes_at_most_half_a_kilobyte_a_model() -> None:
    assert len(PAGE.encode()) <= 500 * 512
    for seed in (1, 2):
        (page,) = pages_of(index_entries.of_models(500, seed)).values()
        assert len(page.encode()) <= 500 * 512


def test_beyond_500_models_there_are_pages_with_every_model_once_and_families_on_the_first() -> (
    None
):
    entries = list(index_entries.of_models(1203))
    pages = pages_of(entries)
    assert list(pages) == ["index.html", "index-2.html", "index-3.html"]
    names = [re.findall(r'<th scope="row">(?:<a [^>]*>)?([^<]*)', text) for text in pages.values()]
    assert [len(each) for each in names] == [MODELS, MODELS, 203]
    assert [name for page in names for name in page] == [
        each.name for each in overview_of(entries).models
    ]
    for text in pages.values():
        assert "Sorting and filtering see the" in text
        links = re.findall(r'<(?:a href|b aria-current)="([^"]*)">\d', text)
        others = [name for name in pages if pages[name] is not text]
        assert sorted(links) == sorted([*others, "page"])
    assert "families-title" in pages["index.html"]
    assert "families-title" not in pages["index-2.html"]
    assert "Models 501 to 1,000 of 1,203" in pages["index-2.html"]
    assert sum(len(text.encode()) for text in pages.values()) <= 1203 * 512


@pytest.mark.parametrize("pages", [1, 7, 20, 21, 134, 4000])
def test_every_page_is_a_few_clicks_away_from_every_other_by_a_few_links(pages: int) -> None:
    for start in {1, pages // 2 + 1, pages}:
        reached, edge = {start}, {start}
        for _ in range(len(str(pages)) + 1):
            edge = {link.number for at in edge for link in links_of(at, pages)} - reached
            reached |= edge
        assert reached == set(range(1, pages + 1))
        links = links_of(start, pages)
        assert len(links) <= 45
        assert [link.number for link in links if link.current] == [start]
        assert all(link.href == file_name(link.number) for link in links)


@pytest.mark.parametrize("page", [PAGE, HOSTILE])
def test_a_page_has_no_inline_style_no_handler_and_no_address_but_relative_ones(page: str) -> None:
    tags = Elements(page).tags
    for tag, attributes in tags:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form", "video", "audio"}
        for name, value in attributes.items():
            assert name != "style"
            assert not name.startswith("on") or name == "on"
            if name in {"href", "src"} and tag != "link":
                text = value or ""
                assert re.fullmatch(r"#\w+|[\w%().~/-]+", text), text
                assert not text.startswith(("/", "..")) and "/../" not in text
    assert [tag for tag, _ in tags].count("script") == 2


def test_hostile_texts_are_there_and_are_text() -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in HOSTILE
    assert "<script>alert" not in HOSTILE
    assert "<svg onload" not in HOSTILE
    assert "{{ 7*7 }}" in HOSTILE
    for character in ("\x1b", "\u202e", "\u2066", "\u200b", "\x00", "\ud800", "\u2028"):
        assert character not in HOSTILE
    assert "x" * 201 not in HOSTILE
    packed = packed_layers.decoded(packed_layers.packed_of(HOSTILE))
    names = packed_layers.names(packed)
    assert len(names) == 4 * (len(cards.HOSTILE_NAMES) + 3)
    assert all(name.isprintable() and name for name in names)
    assert all(link is None or re.fullmatch(r"[\w%().~/-]+", link) for link in packed["links"])


@pytest.mark.parametrize(
    ("path", "href"),
    [
        ("cards/a/card.html", "cards/a/card.html"),
        ("cards/ü ?#%/card.html", "cards/%C3%BC%20%3F%23%25/card.html"),
        ("javascript:alert(1)", "javascript%3Aalert(1)"),
        ("https://evil.example", "https%3A//evil.example"),
        ("//evil.example", None),
        ("/etc/passwd", None),
        ("cards/../../x", None),
        ("", None),
        (None, None),
        ("a\\b", "a%5Cb"),
        ("x" * 501, None),
    ],
)
def test_a_link_is_a_relative_path_below_the_page_or_none(path: str, href: str | None) -> None:
    assert href_of(path) == href
    assert href is None or unquote(href) == path


def test_entries_of_real_cards_show_their_figures() -> None:
    made = [index_entries.of_card(card, name) for name, card in (
        ("a", cards.realistic()), ("b", cards.complete()), ("c", cards.sampled()),
        ("d", cards.bare()), ("e", cards.hostile()))]  # fmt: skip
    card = thermoscan.scan(str(wheel("crepe-tiny")))
    real = index_entries.of_card(card, "crepe")
    overview = overview_of([*made, real])
    by_name = {model.name: model for model in overview.models}
    assert by_name["crepe"].figures[0] == card.summary.reduced_temperature
    np.testing.assert_allclose(by_name["crepe"].profile, profile_of(card), rtol=1e-6)
    assert by_name["c"].status == "sampled"
    assert set(by_name["d"].figures) <= {None, 0.0}
    assert by_name["a"].worst == "decayed"
    (page,) = pages_of([*made, real]).values()
    order = card.summary.order
    assert order is not None and f"<td>{order:.3f}" in page


def test_the_index_is_found_by_its_entry_point() -> None:
    assert isinstance(plugins.index("html"), HtmlIndex)


def test_pages_are_rendered_as_they_are_asked_for() -> None:
    def entries() -> Iterator[IndexEntry]:
        yield from ENTRIES

    pages = HtmlIndex().render(entries())
    assert next(pages) == ("index.html", PAGE)
    assert next(pages, None) is None


def test_rendering_imports_jinja_and_nothing_else_that_is_heavy() -> None:
    code = (
        "import sys; from thermoscan.catalogue.index import IndexEntry\n"
        "from thermoscan_reports.index import HtmlIndex\n"
        "list(HtmlIndex().render([IndexEntry('a', 'scanned')]))\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    modules = set(re.findall(r"'(\w+)'", result.stdout))
    assert "jinja2" in modules
    assert not modules & {"numpy", "numba", "pydantic", "pandas", "rich", "torch", "click"}

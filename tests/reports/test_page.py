"""What a page says, as data: verdict, figures, findings by kind, coverage and files."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from support import cards

from thermoscan.card import Card, Finding
from thermoscan_reports.numbers import percent, scaled, shown
from thermoscan_reports.page import page_of
from thermoscan_reports.verdict import LAPLACE_ORDER, verdict_of


def with_findings(*severities: str) -> Card:
    findings = tuple(
        Finding(f"code-{place}", severity, None, "seen", "means", "do", {})
        for place, severity in enumerate(severities)
    )
    return replace(cards.realistic(), findings=findings)


@pytest.mark.parametrize(
    ("severities", "worst", "headline"),
    [
        ((), "ok", "Nothing stands out."),
        (("info",), "ok", "Nothing stands out."),
        (("warning",), "warning", "One thing to look at: code 0."),
        (("info", "warning", "warning"), "warning", "Two things to look at: code 1, code 2."),
        (("warning", "error"), "error", "Broken in one place (and one thing to look at): code 1."),
        (("error",) * 12, "error", "Broken in 12 places: code 0, code 1, code 2 and more."),
    ],
)
def test_the_headline_follows_from_the_findings(
    severities: tuple[str, ...], worst: str, headline: str
) -> None:
    verdict = verdict_of(with_findings(*severities))
    assert (verdict.severity, verdict.headline) == (worst, headline)


def test_a_checkpoint_without_layers_is_not_called_healthy() -> None:
    verdict = verdict_of(cards.bare())
    assert verdict.severity == "warning"
    assert verdict.sentences == ()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("reduced_temperature", 0.1, "colder than any usual initialisation"),
        ("reduced_temperature", 1.0, "as warm as LeCun’s"),
        ("reduced_temperature", 2.0, "as warm as He’s"),
        ("reduced_temperature", 30.0, "hotter than He’s"),
        ("order", 0.001, "Gaussian to within a hundredth"),
        ("order", 0.05, "between a Gaussian and a Laplace"),
        ("order", 0.5, "further from a Gaussian than a Laplace"),
        ("transition_temperature", -0.1, "opposite directions"),
        ("transition_temperature", 0.1, "T* = 0.100"),
        ("work_efficiency", 0.25, "non-saturating engine at 25 %"),
    ],
)
def test_the_verdict_puts_each_quantity_in_words(field: str, value: float, words: str) -> None:
    card = cards.realistic()
    card = replace(card, summary=replace(card.summary, **{field: value}))
    assert words in " ".join(verdict_of(card).sentences)


def test_the_order_of_a_laplace_distribution_is_its_definition_in_closed_form() -> None:
    second_moment, entropy = 2.0, 1 + math.log(2)
    entropic = math.exp(2 * entropy) / (2 * math.pi * math.e)
    assert pytest.approx(0.5 * math.log(second_moment / entropic)) == LAPLACE_ORDER


def test_the_figures_show_the_summary_and_say_why_one_is_missing() -> None:
    figures = {figure.key: figure for figure in page_of(cards.realistic()).figures}
    assert figures["reduced_temperature"].value == "2.62"
    assert figures["work_efficiency"].value == "17.4 %"
    assert "(non-saturating)" in figures["work_efficiency"].meaning
    assert figures["coverage"].value == "99.8 %"
    assert "refresh_temperature" not in figures
    for figure in page_of(cards.bare()).figures:
        if figure.key != "coverage":
            assert (figure.value, figure.reason) == ("–", "no weight matrix in this checkpoint")


def test_a_refresh_temperature_gets_its_figure_where_there_is_a_base() -> None:
    card = cards.realistic()
    card = replace(card, summary=replace(card.summary, refresh_temperature=0.25))
    figures = {figure.key: figure.value for figure in page_of(card).figures}
    assert figures["refresh_temperature"] == "0.250"


def test_findings_of_one_kind_stand_together_worst_kind_first() -> None:
    page = page_of(cards.of_layers(300))
    (group,) = page.findings
    assert len(group.items) == 5
    assert group.more == len(cards.of_layers(300).findings) - 5
    titles = [(g.severity, g.title) for g in page_of(cards.realistic()).findings]
    assert titles[0] == ("warning", "Decayed")
    assert {severity for severity, _ in titles[1:]} == {"info"}


def test_a_finding_links_to_the_layer_it_is_about() -> None:
    items = [item for group in page_of(cards.realistic()).findings for item in group.items]
    places = {item.layer: item.index for item in items}
    assert places == {
        "pooler.dense.weight": 38,
        None: None,
        "encoder.layer.0.attention.self.query.weight": 2,
    }


def test_a_page_holds_a_bounded_number_of_findings_and_files() -> None:
    card = with_findings(*["info"] * 500)
    card = replace(card, files=card.files * 500)
    page = page_of(card)
    assert (len(page.findings), page.findings_more) == (20, 480)
    assert (len(page.files), page.files_more) == (20, 981)


def test_refused_files_come_before_skipped_and_scanned_ones() -> None:
    statuses = [file.status for file in page_of(cards.realistic()).files]
    assert statuses == ["refused", "skipped", "scanned"]


def test_the_coverage_rows_add_up_to_all_parameters() -> None:
    card = cards.realistic()
    rows = page_of(card).coverage
    total = sum(int(row.parameters.replace(",", "")) for row in rows)
    assert total == card.coverage.parameters


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (1.0, "1.00"),
        (-0.0123456, "-0.0123"),
        (999.4, "999"),
        (999.6, "1000"),
        (123456.0, "123000"),
        (999_600.0, "1.00e+6"),
        (1.5e300, "1.50e+300"),
        (0.000123, "0.000123"),
        (0.00009999, "0.000100"),
        (0.0000999, "9.99e-5"),
        (1.234e-7, "1.23e-7"),
        (None, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_counts_and_shares_are_in_round_units() -> None:
    assert [scaled(n) for n in (0, 999, 1000, 999_499, 999_500, 10**12, 10**16)] == [
        "0",
        "999",
        "1.0 k",
        "999 k",
        "1.0 M",
        "1.0 T",
        "10000 T",
    ]
    assert [percent(x) for x in (0.0, 0.12345, 1.0)] == ["0 %", "12.3 %", "100 %"]

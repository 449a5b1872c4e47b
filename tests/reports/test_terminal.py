"""The summary in a terminal."""

from __future__ import annotations

import io
import re
import statistics
import unicodedata
from collections.abc import Callable

import pytest
from support import cards

from thermoscan_reports.numbers import shown
from thermoscan_reports.terminal import TerminalReporter, role_lines

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def plain(card_text: str) -> str:
    return " ".join(card_text.split())


def test_the_summary_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    golden("terminal.txt", TerminalReporter(width=100, colour=False).render(cards.realistic()))


def test_verdict_numbers_findings_roles_and_coverage_are_there_in_this_order() -> None:
    text = TerminalReporter(width=100, colour=False).render(cards.realistic())
    parts = [
        "sentence-transformers/all-MiniLM-L6-v2",
        "One thing to look at: decayed.",
        "Reduced temperature        2.62",
        "! Decayed:",
        "    pooler.dense.weight: T is 0.21",
        "i Wasted precision:",
        "range of τ",
        "99.75 % analysed",
        "refused: onnx/model.onnx: ONNX graphs are not read",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_a_sample_says_so_with_its_intervals_and_what_it_could_not_look_for() -> None:
    text = plain(TerminalReporter(width=160, colour=False).render(cards.sampled()))
    assert "Estimated from 4.7 % of the bytes, with 95 % intervals: 4.3 MB of 90.9 MB" in text
    assert "in 820 blocks chosen with seed 7, and 64 tensors whole" in text
    assert "95 %: 2.50 to 2.75." in text
    assert "95 %: 16.1 % to 18.7 %." in text
    assert "Not looked for: constant, dead units (only a sample of its bytes was read)." in text


def test_what_was_run_and_compared_stands_below_the_roles() -> None:
    text = TerminalReporter(width=160, colour=False).render(cards.complete())
    parts = [
        "range of τ",
        "Beside nreimers/MiniLM-L6-H384-uncased",
        "Fine-tune: 99.9 % of the base is kept",
        "refresh temperature ΔE / ΔS",
        "Run on data",
        "Experts",
        "encoder.layer.3.experts[*]",
        "Spectra: A power law was fitted to 38 of 39 spectra",
        "Beside the base, singular values moved by",
        "coverage:",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_roles_have_the_medians_of_their_spectra_in_place_of_the_range_at_80_columns() -> None:
    card = cards.complete()
    wide, narrow = (TerminalReporter(width, colour=False).render(card) for width in (100, 80))
    assert re.search(r" η +α +ordered\n", wide)
    assert re.search(r" η +α +ordered\n", narrow)
    assert "range of τ" in wide and "range of τ" not in narrow
    spectra = [x.spectra.matrix for x in card.layers if x.role == "mlp down" and x.spectra]
    alphas = [x.tail.alpha for x in spectra if x and x.tail]
    ordered = [x.bulk.ordered_fraction for x in spectra if x and x.bulk]
    (line,) = (line for line in role_lines(card) if line.role == "mlp down")
    assert len(alphas) == 6
    assert line.alpha == shown(statistics.median(alphas))
    assert line.ordered == shown(statistics.median(ordered))
    assert f"{line.alpha}  {line.ordered:>7}\n" in wide
    assert f"{line.alpha}  {line.ordered:>7}\n" in narrow
    assert "ordered" not in TerminalReporter(100, colour=False).render(cards.realistic())


def test_a_model_of_any_depth_takes_a_few_lines() -> None:
    text = TerminalReporter(width=100, colour=False).render(cards.of_layers(3000))
    assert len(text.splitlines()) < 50


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for card in (cards.realistic(), cards.complete(), cards.hostile(), cards.bare()):
        for line in TerminalReporter(width=width, colour=False).render(card).splitlines():
            assert len(line) <= width


def test_a_role_stands_on_one_line_at_80_columns() -> None:
    text = TerminalReporter(width=80, colour=False).render(cards.realistic())
    assert re.search(r"^attention output +6 ", text, re.MULTILINE)
    assert "…\n" not in text


def test_hostile_names_bring_no_escapes_markup_or_controls() -> None:
    text = TerminalReporter(width=100, colour=False).render(cards.hostile())
    assert not [c for c in text if c != "\n" and unicodedata.category(c).startswith("C")]
    assert "[bold red]markup[/]" in plain(text)
    coloured = TerminalReporter(width=100, colour=True).render(cards.hostile())
    assert "\x1b" not in COLOURS.sub("", coloured)


def test_colour_changes_nothing_but_colour() -> None:
    coloured = TerminalReporter(width=100, colour=True).render(cards.realistic())
    assert "\x1b[1;33m! One thing to look at" in coloured
    without = [line.rstrip() for line in COLOURS.sub("", coloured).splitlines()]
    assert (
        without == TerminalReporter(width=100, colour=False).render(cards.realistic()).splitlines()
    )


def test_a_role_line_sums_up_the_layers_of_its_role() -> None:
    card = cards.realistic()
    lines = {line.role: line for line in role_lines(card)}
    queries = [layer for layer in card.layers if layer.role == "attention query"]
    reduced = [layer.reduced_temperature or 0 for layer in queries]
    line = lines["attention query"]
    assert line.layers == 6
    assert line.parameters == "885 k"
    assert line.reduced == shown(statistics.median(reduced))
    assert line.span == f"{shown(min(reduced))} … {shown(max(reduced))}"
    assert line.efficiency == "–"
    assert sum(line.layers for line in lines.values()) == len(card.layers)


def test_width_and_colour_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert TerminalReporter().width == 72
    monkeypatch.setenv("COLUMNS", "none")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert TerminalReporter().width == 100
    assert TerminalReporter().colour is False
    monkeypatch.setattr("sys.stdout", Screen())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert TerminalReporter().colour is True
    monkeypatch.setenv("NO_COLOR", "1")
    assert TerminalReporter().colour is False

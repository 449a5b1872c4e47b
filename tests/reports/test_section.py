"""The section says what the card says, and nothing in a card can break out of it.

The judge is markdown-it with GitHub's tables: it sees what a site would make of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support.cards import HOSTILE_NAMES, complete, hostile, of_layers, realistic, sampled

from thermoscan.attaching.markers import END, START, find_section
from thermoscan.attaching.readme import with_section
from thermoscan.card import Card, Finding
from thermoscan_reports.markdown import code, words
from thermoscan_reports.section import CommentReporter, SectionReporter

ATTACKS = (
    *HOSTILE_NAMES,
    END, f"`{END}", f"\n{END}\n", START, "a|b", "|", "`", "``", "a`b`c", "[x](http://evil.example)",
    "![x](http://evil.example/pixel.png)", "<img src=//evil.example>", "http://evil.example",
    "www.evil.example", "mail@evil.example", "@everyone", "#1", "\\", "\\\n", "&lt;b&gt;", "$$x$$",
    "\\(x\\)", "# head", "- item", "1. item", "> quote", "---", "```", "~~~", "<!--", "-->", "*b*",
    "_b_", "  ", "\u202e|", "a" * 150 + "|`",
)  # fmt: skip


def html(markdown: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


def tags(markdown: str) -> list[str]:
    return re.findall(r"<[^>]+>", html(markdown))


def attacked(text: str) -> Card:
    """A card in which every text is `text` that may be anything."""
    card = realistic()
    finding = Finding("hot", "warning", text, text, text, text, {})
    reasons = {"order": text, "reduced_temperature": text}
    return replace(
        card,
        generator=text,
        model=replace(card.model, id=text, revision=text),
        summary=replace(card.summary, order=None, reduced_temperature=None, reasons=reasons),
        findings=(finding, replace(finding, code=text, severity="error")),
    )


def test_the_section_is_this_text(golden: Callable[[str, str], None]) -> None:
    golden("section.md", SectionReporter().render(realistic()))
    golden("comment.md", CommentReporter().render(realistic()))


@pytest.mark.parametrize("text", ATTACKS, ids=repr)
def test_no_text_of_a_card_breaks_out_of_the_section(text: str) -> None:
    plain, attack = (SectionReporter().render(attacked(each)) for each in ("name", text))
    # Code spans come and go with the text; anything else would be markup that it made.
    shape = [[tag for tag in tags(each) if tag.strip("</>") != "code"] for each in (plain, attack)]
    assert shape[0] == shape[1]
    assert plain.count("\n") == attack.count("\n")
    readme = with_section(b"# Hi\n", attack).data.decode()
    span = find_section(readme)
    assert span is not None
    assert readme[span.end :] == "\n"
    assert readme.count(END) == readme.count(START) == 1


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_a_name_is_one_code_span_and_words_are_words(text: str) -> None:
    shown = code(text)
    assert html(f"| a |\n|-|\n| {shown} |\n").count("<td>") == 1
    assert set(tags(f"x {shown} y")) <= {"<p>", "</p>", "<code>", "</code>"}
    assert set(tags(f"x {words(text)} y")) <= {"<p>", "</p>", "<code>", "</code>"}
    assert "\n" not in shown + words(text)


@given(st.text("abcXYZ019 *_[]<>#~|&!.,;:()=+-'\"%/?^{}αη", max_size=80))
def test_words_are_read_as_they_were_written(text: str) -> None:
    rendered = html(f"x {words(text)} y")
    for escape, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        rendered = rendered.replace(escape, character)
    if "`" not in words(text):
        assert rendered == f"<p>x {text} y</p>\n"


def test_values_that_are_not_known_say_why() -> None:
    summary = replace(
        realistic().summary,
        work_efficiency=None,
        reasons={"work_efficiency": "no activation is known"},
    )
    text = SectionReporter().render(replace(realistic(), summary=summary))
    assert "| Work efficiency η | not known | Because: no activation is known. |" in text


def test_a_sample_says_so_with_its_intervals_and_what_it_did_not_look_for() -> None:
    text = SectionReporter().render(sampled())
    low, high = sampled().summary.intervals["reduced_temperature"]
    assert f"| 95 %: {low:.2f} to {high:.2f}. Fan-in" in text
    estimated = text.index("\n\nEstimated from 4.7 % of the bytes, with 95 % intervals: ")
    assert estimated < text.index("| figure |")
    assert "The figures come from a sample of the weights alone; the model was not run." in text
    assert "\n\nNot looked for: " in text
    assert (
        SectionReporter()
        .render(replace(sampled(), findings=()))
        .startswith("## What the weights show\n\n**Nothing stands out in the sample.** ")
    )


def test_a_card_with_a_base_says_what_became_of_it() -> None:
    text = SectionReporter().render(complete())
    paragraph = next(part for part in text.split("\n\n") if part.startswith("Beside "))
    assert paragraph.startswith("Beside nreimers/MiniLM-L6-H384-uncased")
    assert ": Fine-tune: 99.9 % of the base is kept" in paragraph
    assert paragraph.endswith(".")
    assert "Beside" not in SectionReporter().render(realistic())


def test_a_card_with_spectra_says_so_in_a_sentence() -> None:
    text = SectionReporter().render(complete())
    assert "\n\nSpectra: A power law was fitted to 38 of 39 spectra, of mean exponent α = " in text
    assert "Spectra" not in SectionReporter().render(realistic())


def test_a_run_names_its_data() -> None:
    card = complete()
    assert card.probe is not None
    run = replace(card.probe.run, data="a|b.txt", inputs=1234)
    text = SectionReporter().render(replace(card, probe=replace(card.probe, run=run)))
    assert "\n\nThe model was run on `a\\x7cb.txt` (inputs: 1,234). Where a figure was" in text


def test_a_long_list_of_findings_ends_in_how_many_more_there_are() -> None:
    kinds = [f"kind {number}" for number in range(8)]
    findings = tuple(
        Finding(kind, "warning", f"layer.{place}", "seen", "meaning", "advice", {})
        for kind in kinds
        for place in range(7)
    )
    text = SectionReporter().render(replace(realistic(), findings=findings))
    assert text.count("\n- ") == 6
    assert text.count("`layer.") == 15
    assert text.count("  - and 4 more\n") == 5
    assert "- and 3 more kinds, in the full report\n" in text


def test_information_is_left_to_the_full_report() -> None:
    text = SectionReporter().render(realistic())
    assert "pooler.dense.weight" in text
    assert "bfloat16" not in text


def test_what_was_scanned_is_named_with_its_commit() -> None:
    card = realistic()
    (file,) = card.model.files
    of_two = replace(card.model, files=(file, file), revision=None)
    for reporter in (SectionReporter(), CommentReporter()):
        text = reporter.render(card)
        where = f"(91.0 MB) at commit `{card.model.revision}`, by thermoscan 0.1.0.\n"
        assert f"Scanned: `model.safetensors` {where}" in text
        text = reporter.render(replace(card, model=of_two))
        assert "Scanned: 2 weight files (182 MB) on disk, by thermoscan 0.1.0.\n" in text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a-1.bin", "a-2.bin"], "2 weight files ("),
        (["unet/a-1.bin", "unet/a-2.bin"], "2 weight files in `unet` ("),
        (["x/y/a.bin", "vae/a.bin", "vae/b.bin"], "3 weight files in `x/y`, `vae` ("),
        (["a.bin", "v|e/a.bin"], "2 weight files in the top folder, `v\\x7ce` ("),
        (
            [f"{k}/a.bin" for k in range(7)],
            "7 weight files in `0`, `1`, `2`, `3`, `4` and 2 more folders (",
        ),
    ],
)
def test_several_files_are_named_by_their_folders(names: list[str], told: str) -> None:
    card = realistic()
    files = tuple(replace(card.model.files[0], name=name) for name in names)
    text = SectionReporter().render(replace(card, model=replace(card.model, files=files)))
    assert f"Scanned: {told}" in text


def test_a_comment_links_to_no_file_and_the_section_to_both() -> None:
    assert "thermoscan/card" not in CommentReporter().render(realistic())
    links = re.findall(r'href="([^"]+)"', html(SectionReporter().render(realistic())))
    assert links == [
        "https://arxiv.org/abs/2404.13218", "thermoscan/card.html", "thermoscan/card.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "card",
    [complete(), of_layers(300), hostile(), sampled()],
    ids=("complete", "layers", "hostile", "sample"),
)
def test_the_table_is_a_table_with_three_cells_in_every_row(card: Card) -> None:
    rows = html(SectionReporter().render(card)).split("<tr>")[1:]
    assert len(rows) >= 7
    assert all(row.count("</td>") + row.count("</th>") == 3 for row in rows)

"""Every study runs at a tiny size and writes a page with a question, a verdict and its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from studies.__main__ import STUDIES, main
from studies.report import Picture, Section, Study, Table, write


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_says_what_it_found(name: str, tmp_path: Path) -> None:
    main([name, "--small", "--out", str(tmp_path)])
    page = (tmp_path / f"{name}.md").read_text()
    for part in ("# ", "**Question.** ", "**Verdict.** ", "**Method.** ", "\n## "):
        assert re.search(re.escape(part) + r"\S", page), part
    pictures = re.findall(r"!\[.+\]\((.+)\)", page)
    assert pictures
    for picture in pictures:
        assert (tmp_path / picture).read_text().startswith("<?xml")
    assert not re.search(r"\bnan\b|\binf\b|None", page)


@pytest.mark.parametrize("name", STUDIES)
def test_the_documentation_holds_every_study(name: str) -> None:
    folder = Path(__file__).parents[2] / "docs" / "studies"
    assert f"make studies STUDY={name}" in (folder / f"{name}.md").read_text()


def test_the_same_study_gives_the_same_files(tmp_path: Path) -> None:
    def study() -> Study:
        figure = Figure()
        figure.subplots().plot([0, 1], [1, 0.5])
        section = Section(
            "Seen", "It fell.", [Table(["x", "y"], [["a", 0.51234]])], [Picture("fall", figure, "")]
        )
        return Study("A fall", "Does it fall?", "Yes.", "By hand.", [section])

    pages = [write(study(), "fall", tmp_path / each, "make fall") for each in ("a", "b")]
    assert pages[0].read_text() == pages[1].read_text()
    assert "| a | 0.512 |" in pages[0].read_text()
    pictures = [(page.parent / "fall-fall.svg").read_bytes() for page in pages]
    assert pictures[0] == pictures[1]

"""The README says what the command says, and every option is explained."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from thermoscan.cli.main import cli

ROOT = Path(__file__).parents[2]


PAGES = {"scan": "README.md", "batch": "docs/batch.md", "compare": "docs/compare.md", "probe": "docs/probe.md",
         "linear": "docs/linear.md", "attach": "docs/attach.md",
         "badge": "docs/badge.md"}  # fmt: skip
"""Command -> the page that shows its help between two comments."""


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_page_shows_the_help_of_every_command(name: str, pytestconfig: pytest.Config) -> None:
    done = CliRunner().invoke(cli, [name, "--help"], prog_name="thermoscan", terminal_width=90)
    block = f"<!-- help -->\n```text\n{done.output.rstrip()}\n```\n<!-- /help -->"
    page = ROOT / PAGES[name]
    text = page.read_text()
    current, found = re.subn(
        r"<!-- help -->.*?<!-- /help -->", lambda _: block, text, flags=re.DOTALL
    )
    assert found == 1
    if pytestconfig.getoption("--update-goldens"):
        page.write_text(current)
    assert current == page.read_text()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_has_help(name: str) -> None:
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_every_link_in_the_docs_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_public_names_are_exactly_these() -> None:
    import thermoscan

    assert thermoscan.__all__ == [
        "Card", "ScanOptions", "ThermoscanError", "__version__", "compare", "scan",
    ]  # fmt: skip
    for name in thermoscan.__all__:
        assert getattr(thermoscan, name) is not None

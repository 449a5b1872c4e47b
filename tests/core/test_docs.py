"""The README says what the command says, and every option is explained."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from thermoscan.cli.main import cli

ROOT = Path(__file__).parents[2]


PAGES = {"scan": "README.md", "batch": "docs/batch.md", "compare": "docs/compare.md",
         "probe": "docs/probe.md", "linear": "docs/linear.md", "attach": "docs/attach.md",
         "badge": "docs/badge.md", "catalogue": "docs/querying.md"}  # fmt: skip
"""Command -> the page that shows its help between two comments."""


def _commands() -> dict[str, click.Command]:
    """What a person types -> the command; those of a group, not the group."""
    found: dict[str, click.Command] = {}
    for name, command in cli.commands.items():
        parts = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {part}".strip(): each for part, each in parts.items()}
    return found


COMMANDS = _commands()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_shows_the_help_of_every_command(name: str, pytestconfig: pytest.Config) -> None:
    typed = [*name.split(), "--help"]
    done = CliRunner().invoke(cli, typed, prog_name="thermoscan", terminal_width=90)
    opening = f"help {name}" if " " in name else "help"
    text = f"```text\n{done.output.rstrip()}\n```"
    _check(ROOT / PAGES[name.split(maxsplit=1)[0]], opening, text, pytestconfig)


def _check(page: Path, block: str, text: str, pytestconfig: pytest.Config) -> None:
    """Compares what stands in a page between two comments, or rewrites it."""
    opening, closing = f"<!-- {block} -->", f"<!-- /{block.split(maxsplit=1)[0]} -->"
    before = page.read_text()
    current, found = re.subn(
        f"{opening}.*?{closing}", lambda _: f"{opening}\n{text}\n{closing}", before, flags=re.DOTALL
    )
    assert found == 1
    if pytestconfig.getoption("--update-goldens"):
        page.write_text(current)
    assert current == page.read_text()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_help(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_a_page_shows_the_grammar_of_conditions(pytestconfig: pytest.Config) -> None:
    grammar = (ROOT / "thermoscan" / "catalogue" / "where.lark").read_text()
    page = ROOT / PAGES["catalogue"]
    _check(page, "grammar", f"```text\n{grammar.rstrip()}\n```", pytestconfig)


def test_a_page_lists_every_column_that_can_be_asked_for(pytestconfig: pytest.Config) -> None:
    from thermoscan.catalogue.fields import subject

    lines = []
    for of in ("models", "layers", "findings"):
        lines += [f"### Of {of}", "| column | is | holds |", "|---|---|---|"]
        for field in subject(of, "sqlite").fields.values():
            if not field.name.startswith("model."):
                lines.append(f"| `{field.name}` | {field.kind.value} | {_cell(field.meaning)} |")
        lines.append("")
    _check(ROOT / PAGES["catalogue"], "columns", "\n".join(lines).rstrip(), pytestconfig)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


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

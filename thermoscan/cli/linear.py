"""``thermoscan linear DATA``: the temperature of a linear system, before training and after."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path)


@click.command(short_help="Tells the temperature of a linear system.")
@click.argument("data", type=_FILE)
@click.option(
    "--loss",
    "loss_name",
    type=click.Choice(["mse", "mae", "bce", "softmax"]),
    default="mse",
    show_default=True,
    help="mse, mae, bce (binary cross-entropy, targets -1 and 1), softmax (targets 0, 1, 2, ...).",
)
@click.option(
    "--init",
    "rules",
    metavar="RULE",
    multiple=True,
    default=["torch"],
    show_default=True,
    help="What parameters start from: torch, he_normal, normal(0.3), uniform(0.5), ... "
    "Given several times, features take turns.",
)
@click.option("--target", help="Column of the targets in a CSV.  [default: the last]")
@click.option(
    "--refresh",
    metavar="DATA",
    type=_FILE,
    help="Newer data, for the refresh of the trained state.",
)
@click.option(
    "--json",
    "json_to",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=str),
    metavar="FILE",
    help="Write JSON to FILE instead of the summary; - is standard output.",
)
def linear(
    data: Path,
    loss_name: str,
    rules: tuple[str, ...],
    target: str | None,
    refresh: Path | None,
    json_to: str | None,
) -> None:
    """Tells the temperature of the linear system z = w·x on DATA, a .csv or an .npz.

    A CSV has a header and a column of numbers for every feature and for the target; an npz holds
    the arrays X (N, d) and y (N,). No intercept is added: give a column of ones for one.
    """
    from thermoscan.cli.linear_report import linear_report  # noqa: PLC0415 - no numpy for the help
    from thermoscan.cli.linear_text import to_json, to_text  # noqa: PLC0415
    from thermoscan.cli.table import read_table  # noqa: PLC0415
    from thermoscan.writing import write_whole  # noqa: PLC0415

    newer = None if refresh is None else read_table(refresh, target)
    report = linear_report(read_table(data, target), newer, loss_name, rules)
    if json_to == "-":
        click.echo(to_json(report), nl=False)
    elif json_to is not None:
        write_whole(Path(json_to), to_json(report))
    else:
        click.echo(to_text(report), nl=False)

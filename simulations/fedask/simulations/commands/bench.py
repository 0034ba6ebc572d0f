"""``fedask bench``: measure, as ratios in one run."""

import typer

app = typer.Typer(
    help="Measure speed and memory, as ratios against a peer or a floor in one run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

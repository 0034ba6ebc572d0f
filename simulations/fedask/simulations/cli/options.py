"""Options that several commands share."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fedask.common.config import parse_setting
from fedask.common.errors import ConfigError

ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="A scenario file (TOML), the folder of a Flower App that `fedask new` "
        "made, or the name of a built-in scenario: digits, fashion-mnist, tiny.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the scenario, as in --set ask.quota=50. May be "
        "given several times.",
    ),
]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="inline: in this process, fastest. ray: Flower's simulation engine. "
        "superlink: a real SuperLink and one SuperNode per device, on this machine.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON and nothing else.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output folder if it exists.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue an interrupted run in the same output folder."
    ),
]


def read_settings(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse the values of ``--set``."""
    return dict(parse_setting(text) for text in texts or ())


def check_folder(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuse an output folder that exists unless asked to, or that is not one.

    Raises
    ------
    ConfigError
        If it is a file, the folder exists and neither flag is given, or it does not
        look like something that fedask wrote.
    """
    if overwrite and resume:
        raise ConfigError("--overwrite and --resume exclude each other")
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file: choose a folder with --out")
    if resume:
        return
    if not overwrite:
        raise ConfigError(
            f"the folder {out} exists: choose another --out, add --resume to "
            "continue an interrupted run, or --overwrite to replace it"
        )
    ours = ["result.json", "summary.json", "history.jsonl", "checkpoint.npz"]
    ours += ["runs", "arms.json"]
    ours += ["devices/fleet.key"]  # all there is of a run whose first round failed
    if any(out.iterdir()) and not any((out / name).exists() for name in ours):
        raise ConfigError(
            f"the folder {out} holds something else than a fedask run: not replaced"
        )


def clear(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Remove an earlier output folder if asked to; refuse as ``check_folder``."""
    check_folder(out, overwrite=overwrite, resume=resume)
    if out.exists() and overwrite:
        shutil.rmtree(out)

"""``fedask device doctor``: check a device's folder for mistakes."""

from dataclasses import asdict
from pathlib import Path

import typer

from fedask.client.cli.console import print_json, stdout
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.site.checkup import examine
from fedask.client.site.finding import Grade
from fedask.common.errors import ConfigError

_MARKS = {
    Grade.GOOD: "good     ",
    Grade.DOUBTFUL: "doubtful ",
    Grade.WRONG: "WRONG    ",
}


def doctor_command(folder: DeviceDir = Path(), *, json: Json = False) -> None:
    """Check settings, task, data, model, store, keys and people; say how to mend it.

    Exit code 0 if nothing is wrong (it may be doubtful), 2 otherwise.

    Example: fedask device doctor --site ward-3
    """
    findings = []
    for finding in examine(folder):
        findings.append(finding)
        if json:
            continue
        text = f"{_MARKS[finding.grade]}{finding.check}: {finding.text}"
        stdout().print(text, markup=False, highlight=False)
        if finding.advice:
            stdout().print(f"         -> {finding.advice}", markup=False)
    if json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.grade is Grade.WRONG for finding in findings):
        raise typer.Exit(ConfigError.exit_code)

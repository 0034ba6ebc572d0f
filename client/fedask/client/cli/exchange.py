"""``fedask device export`` and ``import``: files of other labelling tools."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.cli.console import print_json, stderr
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.labelling.labelstudio.csv_table import export_table, import_table
from fedask.client.labelling.labelstudio.import_summary import Aside, ImportSummary
from fedask.client.labelling.labelstudio.studio_annotation import Reading
from fedask.client.labelling.labelstudio.studio_file import (
    export_tasks,
    import_annotations,
)
from fedask.client.labelling.labelstudio.task_content import TaskContent
from fedask.client.labelling.labelstudio.task_export import (
    StudioPrediction,
    TaskExport,
    Which,
)
from fedask.client.records.audit_event import Event
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError

_TABLE = ".csv"


_Which = Annotated[Which, typer.Option("--samples", help="Which samples.")]
Show = Annotated[
    StudioPrediction,
    typer.Option(
        help="What people see of the model: nothing, its score (not how sure it is), "
        "or its class, which Label Studio ticks for them."
    ),
]
People = Annotated[
    list[str] | None,
    typer.Option(
        "--person",
        metavar="THERE=HERE",
        help="A name in the other tool, and the annotator here. May be repeated.",
    ),
]
Truth = Annotated[
    bool,
    typer.Option(
        "--ground-truth", help="Believe that mark: it settles a sample at once."
    ),
]


def export_command(
    path: Annotated[Path, typer.Argument(help="JSON for Label Studio, or a .csv.")],
    folder: DeviceDir = Path(),
    *,
    which: _Which = Which.WAITING,
    guess: Show = StudioPrediction.SCORE,
    files: Annotated[
        Path | None,
        typer.Option(
            help="Write images and sounds there, not into the JSON. Label Studio must "
            "have this folder's parent as its LOCAL_FILES_DOCUMENT_ROOT, and its "
            "project a local storage of the folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write samples as tasks for Label Studio, or what people said as a table.

    A .csv holds the annotations that stand: uid, label, annotator, at, kind. JSON holds
    tasks, with a labelling configuration (.xml) beside it, and of samples that do not
    wait what people said. These files hold samples and names in clear.

    Example: fedask device export tasks.json --site ward-3
    """
    with DeviceFolder.open(folder) as opened:
        opened.store.classes.keep(opened.task.classes)
        if path.suffix == _TABLE:
            now = opened.clock.now()
            said = export_table(
                opened.store.annotations, opened.task.classes, path, now
            )
            opened.store.record(
                Event.EXPORTED, at=None, to="table", annotations=said.answers
            )
            tell(said._asdict(), (), json=json)
            return
        contents = TaskContent()
        if files is not None:
            contents = TaskContent(folder=files, served=files.resolve().name)
        shelf = task_export_of(opened, guess, contents)
        done = export_tasks(shelf, which, path)
        opened.store.record(
            Event.EXPORTED, at=None, to="file", tasks=done.tasks, aside=done.aside
        )
    tell({"tasks": done.tasks, "aside": done.aside}, done.asides, json=json)


def import_command(
    path: Annotated[Path, typer.Argument(help="JSON of Label Studio, or a .csv.")],
    folder: DeviceDir = Path(),
    *,
    source: Annotated[
        str,
        typer.Option(help="Where it is from: the same word at every import."),
    ] = "",
    person: People = None,
    ground_truth: Truth = False,
    json: Json = False,
) -> None:
    """Keep what people said in another tool. The same file twice changes nothing.

    A file with a wrong entry is refused whole; samples that this device never asked
    are set aside and counted.

    Example: fedask device import annotations.json --site ward-3 --person 3=ann
    """
    with DeviceFolder.open(folder) as opened:
        reading = Reading(
            classes=opened.task.classes,
            source=source or path.suffix.removeprefix(".") or "file",
            people=people_of(person),
            ground_truth=ground_truth,
        )
        bring = import_table if path.suffix == _TABLE else import_annotations
        account = bring(opened.desk, path, reading)
        record_import(opened.store, account)
    tell_account(account, json=json)


def task_export_of(
    folder: DeviceFolder, guess: StudioPrediction, contents: TaskContent
) -> TaskExport:
    """Return the samples of a device, as tasks."""
    classes = folder.task.classes
    folder.store.classes.keep(classes)
    return TaskExport(
        folder.store, folder.exhibit, classes, contents=contents, guess=guess
    )


def people_of(told: list[str] | None) -> dict[str, str]:
    """Read the values of ``--person``."""
    people = {}
    for each in told or ():
        there, equals, here = each.rpartition("=")
        if not equals or not here:
            raise ConfigError(f"--person {each!r} must be written THERE=HERE")
        people[there] = here
    return people


def record_import(store: SqliteStore, account: ImportSummary) -> None:
    """Write an import into the audit log."""
    store.record(
        Event.IMPORTED,
        at=None,
        kept=account.kept,
        known=account.known,
        late=account.late,
        aside=account.aside,
    )


def tell_account(account: ImportSummary, *, json: bool) -> None:
    """Print what became of every entry of an import."""
    told = {key: value for key, value in asdict(account).items() if key != "asides"}
    tell(told, account.asides, json=json)


def tell(told: dict[str, int], asides: tuple[Aside, ...], *, json: bool) -> None:
    """Print what became of every entry of an export or import."""
    if json:
        print_json({**told, "asides": [asdict(each) for each in asides]})
        return
    console = stderr()
    counts = (f"{key.replace('_', ' ')} {value}" for key, value in told.items())
    console.print(", ".join(counts))
    for aside in asides:
        console.print(f"  set aside: {aside.where}: {aside.reason}", markup=False)

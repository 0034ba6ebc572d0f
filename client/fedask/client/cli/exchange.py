"""``fedask device export`` and ``import``: files of other labelling tools."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.cli.console import print_json, stderr
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.labelling.labelstudio.csv_export import (
    export_queue,
    export_table,
    standing_answers,
)
from fedask.client.labelling.labelstudio.csv_table import import_table
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
from fedask.client.records.provenance import NamedSource, SampleName
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid

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
    queue: Annotated[
        bool,
        typer.Option(
            "--queue", help="In a .csv: what waits for an answer, to be filled in."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write samples as tasks for Label Studio, or what people said as a table.

    A .csv holds the annotations that stand: uid, label, annotator, at, kind, and file
    and id, by which you know the sample. With --queue it holds what waits, in the order
    of asking: rows that get a label and an annotator may be imported. JSON holds tasks,
    with a labelling configuration (.xml) beside it, and of samples that do not wait
    what people said. These files hold samples and names in clear.

    Example: fedask device export tasks.json --site ward-3

    Example: fedask device export waiting.csv --queue --site ward-3
    """
    if queue and path.suffix != _TABLE:
        raise ConfigError(f"--queue writes a .csv, not {path.name}")
    with DeviceFolder.open(folder) as opened:
        opened.store.classes.keep(opened.task.classes)
        if path.suffix == _TABLE:
            _export_csv(opened, path, queue=queue, json=json)
            return
        contents = TaskContent()
        if files is not None:
            contents = TaskContent(folder=files, served=files.resolve().name)
        shelf = task_export_of(opened, guess, contents)
        done = export_tasks(shelf, which, path)
        opened.store.record(
            Event.EXPORTED, at=None, to="file", tasks=done.tasks, aside=done.aside
        )
    print_counts({"tasks": done.tasks, "aside": done.aside}, done.asides, json=json)


def _export_csv(folder: DeviceFolder, path: Path, *, queue: bool, json: bool) -> None:
    """Write answers, or what waits for them, with what the owner knows samples by."""
    store, now = folder.store.annotations, folder.clock.now()
    if queue:
        names = _names(folder, {uid for uid, _ in store.waiting()})
        done = export_queue(store, path, now, names)
    else:
        names = _names(folder, {answer.uid for answer in standing_answers(store)})
        done = export_table(store, folder.task.classes, path, now, names)
    to = "queue" if queue else "table"
    folder.store.record(Event.EXPORTED, at=None, to=to, annotations=done.rows)
    what = "samples" if queue else "answers"
    print_counts({what: done.rows, "aside": done.aside}, (), json=json)


def _names(folder: DeviceFolder, uids: set[Uid]) -> dict[Uid, SampleName]:
    """Return files and ids of samples; none, said so, if the data are not there."""
    try:
        source = folder.open_data() if uids else None
    except DataError as err:
        stderr().print(f"files and ids are left out: {err}", markup=False)
        return {}
    return source.names(uids) if isinstance(source, NamedSource) else {}


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
    encoding: Annotated[
        str,
        typer.Option(
            help="Of a .csv: cp1252, utf-16. [default: UTF-8, or what its mark says]"
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Keep what people said in another tool. The same file twice changes nothing.

    Entries that are wrong, and those of samples that this device never asked, are set
    aside and listed, with line and reason; all others are kept. Exit code 3 says that
    there were such entries. A .csv may be parted by commas, semicolons or tabs.

    Example: fedask device import annotations.json --site ward-3 --person 3=ann
    """
    with DeviceFolder.open(folder) as opened:
        reading = Reading(
            classes=opened.task.classes,
            source=source or path.suffix.removeprefix(".") or "file",
            people=people_of(person),
            ground_truth=ground_truth,
        )
        if path.suffix == _TABLE:
            account = import_table(opened.desk, path, reading, encoding=encoding)
        else:
            account = import_annotations(opened.desk, path, reading)
        record_import(opened.store, account)
    print_import(account, json=json)


def task_export_of(
    folder: DeviceFolder, guess: StudioPrediction, contents: TaskContent
) -> TaskExport:
    """Return the samples of a device, as tasks."""
    classes = folder.task.classes
    folder.store.classes.keep(classes)
    return TaskExport(
        folder.store, folder.exhibit, classes, contents=contents, guess=guess
    )


def people_of(given: list[str] | None) -> dict[str, str]:
    """Read the values of ``--person``."""
    people = {}
    for each in given or ():
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


def print_import(account: ImportSummary, *, json: bool) -> None:
    """Print what became of every entry of an import.

    Raises
    ------
    typer.Exit
        With the code of a DataError if any was set aside.
    """
    counts = {key: value for key, value in asdict(account).items() if key != "asides"}
    print_counts(counts, account.asides, json=json)
    if account.aside:
        raise typer.Exit(DataError.exit_code)


def print_counts(
    counts: dict[str, int], asides: tuple[Aside, ...], *, json: bool
) -> None:
    """Print what became of every entry of an export or import."""
    if json:
        print_json({**counts, "asides": [asdict(each) for each in asides]})
        return
    console = stderr()
    texts = (f"{key.replace('_', ' ')} {value}" for key, value in counts.items())
    console.print(", ".join(texts))
    for aside in asides:
        console.print(f"  set aside: {aside.where}: {aside.reason}", markup=False)
    more = counts.get("aside", 0) - len(asides)
    if asides and more > 0:
        console.print(f"  set aside: and {more} more")

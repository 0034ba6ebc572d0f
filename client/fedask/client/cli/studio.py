"""``fedask device push`` and ``pull``: exchange with a Label Studio server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedask.client.cli.exchange import (
    People,
    Show,
    Truth,
    people_of,
    print_counts,
    print_import,
    record_import,
    task_export_of,
)
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.labelling.labelstudio.task_content import TaskContent
from fedask.client.labelling.labelstudio.task_export import StudioPrediction
from fedask.client.records.audit_event import Event
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.clock import SystemClock

if TYPE_CHECKING:
    from fedask.client.labelling.labelstudio.studio import Studio

_Url = Annotated[str, typer.Argument(help="Of the Label Studio server.")]
_Project = Annotated[int, typer.Argument(help="Its number there.")]
_Token = Annotated[
    Path | None,
    typer.Option(help="File with the token. [default: $FEDASK_LABEL_STUDIO_TOKEN]"),
]


def push_command(
    url: _Url,
    project: _Project,
    folder: DeviceDir = Path(),
    *,
    token: _Token = None,
    guess: Show = StudioPrediction.SCORE,
    json: Json = False,
) -> None:
    """Send what waits to a project on the site. Again sends only what is new.

    A project without a labelling configuration is set up, to ask as many people about
    each sample as must agree.

    Example: fedask device push https://labels.site 7 --site ward-3
    """
    with _project_of(url, project, folder, token) as (opened, studio):
        shelf = task_export_of(opened, guess, TaskContent())
        pushed = studio.push(shelf, quorum=opened.desk.quorum)
        opened.store.record(
            Event.EXPORTED,
            at=None,
            to="studio",
            tasks=pushed.pushed,
            aside=pushed.aside,
        )
    counts = {"pushed": pushed.pushed, "present": pushed.present, "aside": pushed.aside}
    print_counts(counts, pushed.asides, json=json)


def pull_command(
    url: _Url,
    project: _Project,
    folder: DeviceDir = Path(),
    *,
    token: _Token = None,
    person: People = None,
    ground_truth: Truth = False,
    take_back: Annotated[
        bool, typer.Option(help="Take back here what was deleted there.")
    ] = False,
    json: Json = False,
) -> None:
    """Keep what people said in a project on the site.

    Annotations that were deleted there, while their task was not, are counted; with
    --take-back they are taken back here, unless a model was trained on them. Wrong
    ones are set aside and listed; exit code 3 says that there were some.

    Example: fedask device pull https://labels.site 7 --site ward-3
    """
    with _project_of(url, project, folder, token) as (opened, studio):
        account = studio.pull(
            opened.desk,
            opened.task.classes,
            people_of(person),
            ground_truth=ground_truth,
            take_back=take_back,
        )
        record_import(opened.store, account)
    print_import(account, json=json)


@contextmanager
def _project_of(
    url: str, project: int, folder: Path, token: Path | None
) -> Iterator[tuple[DeviceFolder, "Studio"]]:
    """Open a device's folder, and a project on a Label Studio server."""
    # Only what calls a server needs httpx.
    from fedask.client.labelling.labelstudio.studio import Studio  # noqa: PLC0415  (imports httpx)
    from fedask.client.labelling.labelstudio.studio_address import (  # noqa: PLC0415  (imports httpx)
        StudioAddress,
        read_token,
    )
    from fedask.client.labelling.labelstudio.studio_connection import StudioConnection  # noqa: PLC0415  (imports httpx)

    clock = SystemClock()
    address = StudioAddress(url=url, token=read_token(token))
    with (
        DeviceFolder.open(folder) as opened,
        StudioConnection(address, clock) as link,
    ):
        yield opened, Studio(link, project, url)

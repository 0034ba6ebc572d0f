"""``fedask audit``: check a device's audit log, print its head, accept a loss."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.audit import Head
from fedask.client.audit_check import Finding, verify
from fedask.client.audit_key import file_key
from fedask.client.audit_log import accept
from fedask.common.errors import PrivacyError, StoreError
from fedask.simulations.console import print_json

app = typer.Typer(help="The audit log of a device.", no_args_is_help=True)

Store = Annotated[Path, typer.Argument(help="The device's store.")]
Key = Annotated[
    list[Path] | None,
    typer.Option(
        "--key", help="Key file, the newest first; by default STORE.audit-key."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("verify")
def verify_command(
    store: Store,
    key: Key = None,
    since: Annotated[
        str, typer.Option(help="A head printed before, NUMBER:HASH.")
    ] = "",
    *,
    as_json: Json = False,
) -> None:
    """Check every entry; exit code 6 and the first bad entry if one is not as written.

    Example: fedask audit verify /srv/device.db --since 1204:9f2c...
    """
    found = _checked(store, key, Head.parse(since) if since else None)
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "entries": found.entries,
                "bad": found.bad,
                "reason": found.reason,
                "head": None if found.head is None else str(found.head),
                "newer": found.newer,
            }
        )
        if not found.ok:
            raise typer.Exit(PrivacyError.exit_code)
        return
    _refuse_bad(found)
    typer.echo(f"{found.entries} entries, all as written; head {found.head}")
    if found.newer:
        typer.echo(f"{found.newer} newer than the head file, as after a crash: fine")


@app.command("head")
def head_command(store: Store, key: Key = None) -> None:
    """Check the log, and print its head: keep it elsewhere, for ``--since``.

    Example: fedask audit head /srv/device.db >> /mnt/elsewhere/heads
    """
    found = _checked(store, key, None)
    _refuse_bad(found)
    typer.echo(str(found.head))


@app.command("accept")
def accept_command(store: Store, key: Key = None) -> None:
    """Go on with a log that is not what its head file says, and record that for ever.

    After a backup was put back, or the head file was lost; stop the device before.
    """
    if not store.is_file():
        msg = f"there is no store {store}"
        raise StoreError(msg)
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            head = accept(store, db, _keys(store, key)[0], datetime.now(UTC))
            db.execute("COMMIT")
    except sqlite3.Error as err:
        msg = f"store {store}: {err}"
        raise StoreError(msg) from err
    typer.echo(str(head))


def _checked(store: Path, key: list[Path] | None, since: Head | None) -> Finding:
    return verify(store, head=since, keys=_keys(store, key))


def _keys(store: Path, key: list[Path] | None) -> list[bytes]:
    named = key or [store.with_name(store.name + ".audit-key")]
    return [file_key(path, make=False) for path in named]


def _refuse_bad(found: Finding) -> None:
    if not found.ok:
        msg = f"entry {found.bad} of the audit log: {found.reason}"
        raise PrivacyError(msg)

"""``fedask device audit``: list and verify a device's audit log, or accept a loss.

Does not open the store as other commands do: that would add an entry, and be refused
where something is wrong.
"""

import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.cli.console import print_json, print_table
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.site.device_settings import DeviceSettings, read_device_settings
from fedask.client.store.audit.audit_check import AuditFinding, latest, verify
from fedask.client.store.audit.audit_log import accept
from fedask.client.store.audit.hash_chain import AuditEntry, Head
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, PrivacyError, StoreError


def audit_command(
    folder: DeviceDir = Path(),
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check every entry; exit code 6 and the first bad one if one is not "
            "as written.",
        ),
    ] = False,
    since: Annotated[
        str,
        typer.Option(
            metavar="HEAD", help="Verify against a head printed before, NUMBER:HASH."
        ),
    ] = "",
    head: Annotated[
        bool,
        typer.Option(
            "--head", help="Verify, and print the head: keep it elsewhere, for --since."
        ),
    ] = False,
    accepted: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Go on with a log that is not what its head file says, and record "
            "that for ever: after a backup was put back. Stop the device before.",
        ),
    ] = False,
    entries: Annotated[
        int, typer.Option("--last", min=1, help="How many entries to list.")
    ] = 20,
    json: Json = False,
) -> None:
    """List the last entries of the audit log, or check all of them.

    Entries name samples and people by pseudonyms, and never hold a label. To list is
    not to check: what is listed may have been changed.

    Example: fedask device audit --verify --since 1204:9f2c... --site ward-3
    """
    checks = check or bool(since)
    if checks + head + accepted > 1:
        raise ConfigError(
            "--verify, --head and --accept do not go together: choose one"
        )
    settings = read_device_settings(folder)
    if accepted:
        _tell_head(_accept(settings), json=json)
    elif head:
        found = _checked(settings, "")
        _refuse_bad(found)
        _tell_head(found.head, json=json)
    elif checks:
        _tell(_checked(settings, since), json=json)
    else:
        _list(latest(settings.store, entries), json=json)


def _list(entries: list[AuditEntry], *, json: bool) -> None:
    if json:
        keys = ("number", "at", "event", "body")
        print_json([{key: getattr(each, key) for key in keys} for each in entries])
        return
    rows = [(str(e.number), e.at, e.event, e.body[:200]) for e in entries]
    print_table("audit log", ("number", "at", "event", "body"), rows)


def _tell(found: AuditFinding, *, json: bool) -> None:
    if json:
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


def _tell_head(head: Head | None, *, json: bool) -> None:
    if json:
        print_json({"head": str(head)})
    else:
        typer.echo(str(head))


def _accept(settings: DeviceSettings) -> Head:
    store = settings.store
    key = _key(settings)
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            head = accept(store, db, key, SystemClock().now().astimezone(UTC))
            db.execute("COMMIT")
    except sqlite3.Error as err:
        raise StoreError(f"store {store}: {err}") from err
    return head


def _checked(settings: DeviceSettings, since: str) -> AuditFinding:
    head = Head.parse(since) if since else None
    return verify(settings.store, head=head, key=_key(settings))


def _key(settings: DeviceSettings) -> bytes:
    store = settings.store
    if not store.is_file():
        raise StoreError(f"there is no store {store}")
    return settings.seal.audit_key_of(store)


def _refuse_bad(found: AuditFinding) -> None:
    if not found.ok:
        raise PrivacyError(f"entry {found.bad} of the audit log: {found.reason}")

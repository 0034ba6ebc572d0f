"""``fedask device add``, ``forget`` and ``rotate-key``: change what the store holds."""

from pathlib import Path
from typing import Annotated

import typer

from fedask.client.base.regular_file import (
    BrokenSampleError,
    read_whole,
    suffix_of,
)
from fedask.client.cli.console import print_json, stderr
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.data.sources.source import kind_of_suffix
from fedask.client.records.payload import MAX_PAYLOAD_BYTES
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid, bytes_uid, is_uid


def add_command(
    files: Annotated[list[Path], typer.Argument(help="Images, wavs or texts.")],
    folder: DeviceDir = Path(),
    *,
    remove: Annotated[
        bool, typer.Option(help="Remove each file once its copy is in the store.")
    ] = False,
) -> None:
    """Keep samples sealed in the device's own store, for data of kind "sealed".

    Set data = "" and kind = "sealed" in device.toml to use them. When the store's
    quota is full, what was trained on longest ago goes first; never a label.

    Example: fedask device add photos/*.jpg --site ward-3 --remove
    """
    with DeviceFolder.open(folder) as opened:
        for path in files:
            suffix = suffix_of(path.name)
            if not kind_of_suffix(suffix):
                raise DataError(
                    f"{path}: a {suffix or 'file without a suffix'} cannot be kept"
                    ": images, wavs and texts can"
                )
            try:
                content = read_whole(path, MAX_PAYLOAD_BYTES)
            except (OSError, BrokenSampleError) as err:
                raise DataError(f"cannot read {path}: {err}") from err
            opened.store.payloads.put(bytes_uid(content), suffix, content)
            if remove:
                path.unlink()
    stderr().print(f"{len(files)} kept")


def forget_command(
    uids: Annotated[list[str] | None, typer.Argument(help="Of the samples.")] = None,
    folder: DeviceDir = Path(),
    *,
    expired: Annotated[
        bool,
        typer.Option(
            "--expired", help="Every sample whose time is over, by date or retention."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Erase samples for ever, and say which models they had touched.

    Their keys, labels, scores, payloads and what people said of them are gone then.

    Files of the data folder are yours to delete. The models of the fleet from the first
    named cycle on may have learnt from them.

    Example: fedask device forget 3f0c... --site ward-3

    Example: fedask device forget --expired --site ward-3
    """
    named = uids or []
    if bool(named) == expired:
        raise ConfigError("name the samples to erase, or say --expired: one of the two")
    wrong = [uid for uid in named if not is_uid(uid)]
    if wrong:
        raise DataError(
            f"{wrong[0]!r:.80} is no uid: 32 hexadecimal digits, as export shows them"
        )
    with DeviceFolder.open(folder) as opened:
        wanted = [Uid(uid) for uid in named]
        if expired:
            wanted = opened.held.expired()
        # First what is made anew if this is interrupted, then what never comes back.
        opened.index.erase(wanted)
        erased = opened.store.erasure.forget(wanted)
    if json:
        by_uid = {uid: list(cycles) for uid, cycles in erased.cycles.items()}
        print_json({"cycles": by_uid, "models": erased.models, "clean": erased.clean})
        return
    console = stderr()
    if not erased.cycles:
        console.print("no sample is past its time")
    for uid, cycles in erased.cycles.items():
        used = ", ".join(map(str, cycles)) or "none"
        console.print(f"{uid} erased; trained on in cycles: {used}", highlight=False)
    if erased.models:
        console.print(f"models kept on this device: {', '.join(erased.models)}")
    if not erased.clean:
        console.print("sealed remains stay until all processes have closed the store")


def rotate_key_command(folder: DeviceDir = Path()) -> None:
    """Change the device's key. Nothing is sealed anew; a crash at any point is mended.

    Example: fedask device rotate-key --site ward-3
    """
    with DeviceFolder.open(folder) as opened:
        opened.store.rotate()
    stderr().print("the device has a new key; the old one opens nothing any more")

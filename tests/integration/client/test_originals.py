"""People see and hear the original, whatever the model gets: over a device's folder."""

import io
import json
import wave
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from rich.console import Console
from tests.support.client.clock import FakeClock
from tests.support.client.folders import open_folder, write_app
from tests.support.client.originals import (
    RATE_HZ,
    SECRET,
    photo,
    put,
    seen,
    stereo,
)
from tests.support.client.services import Place, Showroom
from tests.support.client.site import free_port, running
from typing_extensions import override

from fedask.client.cli.picture import picture
from fedask.client.labelling.labelstudio.import_summary import Asides
from fedask.client.labelling.labelstudio.task_content import TaskContent
from fedask.client.labelling.labelstudio.task_export import TaskExport
from fedask.client.records.exhibit import Medium, Part, Remark
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_page import page_of_device, page_settings
from fedask.common.errors import DataError
from fedask.common.ids import Uid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SIZE: dict[str, Any] = {"width": 32, "height": 32}  # of what the model gets
SMALL: dict[str, Any] = {"kind": "images", **SIZE}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return tmp_path / "scans"


def folder_of(
    tmp_path: Path,
    clock: FakeClock | None = None,
    **data: Any,  # noqa: ANN401
) -> DeviceFolder:
    settings = {
        "data": {"data": "scans", **data},
        "page": {"port": free_port(), "title": "Ward 3"},
    }
    if not (tmp_path / "app").exists():
        write_app(tmp_path, ["cat", "dog"])
    return open_folder(tmp_path, settings, clock or FakeClock(NOON))


def shown(tmp_path: Path, uid: Uid, **data: Any) -> tuple[Part, Part]:  # noqa: ANN401
    """Return the only part of a sample, as large as a screen needs and in full."""
    with folder_of(tmp_path, **data).new_exhibit() as exhibit:
        (part,), (full,) = exhibit.parts(uid), exhibit.full_parts(uid)
    return part, full


def test_a_photo_is_shown_as_it_was_taken_not_as_the_models_square(
    tmp_path: Path, scans: Path
) -> None:
    uid = put(scans, "a.jpg", photo())

    part, full = shown(tmp_path, uid, **SMALL)

    assert part.medium is Medium.JPEG
    assert seen(part.content).shape == (1200, 1600, 3)
    assert seen(part.content)[20, 20] == pytest.approx([220, 0, 0], abs=6)
    assert not part.remark.is_reduced
    assert full.content == part.content
    # What the model gets has not changed.
    assert folder_of(tmp_path, **SMALL).pool.load([uid]).shape == (1, 3, 32, 32)


def test_a_larger_photo_is_cut_to_the_screen_and_there_in_full(
    tmp_path: Path, scans: Path
) -> None:
    uid = put(scans, "a.jpg", photo(4000, 3000))

    part, full = shown(tmp_path, uid, **SMALL)

    assert seen(part.content).shape == (1200, 1600, 3)
    assert (part.remark.width, part.remark.height) == (4000, 3000)
    assert len(part.content) < 2 << 20
    assert seen(full.content).shape == (3000, 4000, 3)
    assert not full.remark.is_reduced


@pytest.mark.parametrize("turned", [3, 6, 8])
def test_a_photo_is_upright_and_tells_nothing_but_its_pixels(
    tmp_path: Path, scans: Path, turned: int
) -> None:
    data = photo(turned=turned)
    assert SECRET.encode() in data
    uid = put(scans, "a.jpg", data)

    part, full = shown(tmp_path, uid, **SMALL)

    upright = seen(part.content)
    assert upright.shape[:2] == ((1200, 1600) if turned == 3 else (1600, 1200))
    corner = {3: (-20, -20), 6: (20, -20), 8: (-20, 20)}[turned]
    assert upright[corner] == pytest.approx([220, 0, 0], abs=6)
    for each in (part, full):
        assert SECRET.encode() not in each.content
        assert b"Exif" not in each.content


def test_the_models_grey_is_not_the_persons(tmp_path: Path, scans: Path) -> None:
    uid = put(scans, "a.png", photo(160, 120, form="PNG"))

    part, _ = shown(tmp_path, uid, **SMALL, mode="grey")

    assert part.medium is Medium.IMAGE
    assert seen(part.content)[2, 2].tolist() == [220, 0, 0]


def test_what_was_asked_about_is_shown_or_nothing(tmp_path: Path, scans: Path) -> None:
    clock = FakeClock(NOON)
    one, other = photo(160, 120), photo(200, 120)
    uid = put(scans, "a.jpg", one)
    with folder_of(tmp_path, clock, **SMALL).new_exhibit() as exhibit:
        before = exhibit.parts(uid)
        (scans / "a.jpg").rename(scans / "moved.jpg")
        put(scans, "a.jpg", other)
        with pytest.raises(DataError):
            exhibit.parts(uid)  # not the other one
        with pytest.raises(DataError):
            exhibit.full_parts(uid)
        clock.time += timedelta(seconds=10)
        assert exhibit.parts(uid) == before
        (scans / "moved.jpg").unlink()
        clock.time += timedelta(seconds=10)
        with pytest.raises(DataError):
            exhibit.full_parts(uid)


def heard(content: bytes) -> tuple[int, int, int]:
    with wave.open(io.BytesIO(content)) as file:
        return file.getframerate(), file.getnchannels(), file.getnframes()


def test_a_sound_is_heard_at_its_rate_with_its_channels_to_its_end(
    tmp_path: Path, scans: Path
) -> None:
    uid = put(scans, "a.wav", stereo())

    part, _ = shown(tmp_path, uid, frames=RATE_HZ)

    assert heard(part.content) == (RATE_HZ, 2, 3 * RATE_HZ)
    assert part.remark.model_reads == pytest.approx(1.0)
    assert not part.remark.is_reduced


def test_of_a_very_long_sound_the_screen_gets_the_beginning(
    tmp_path: Path, scans: Path
) -> None:
    uid = put(scans, "a.wav", stereo(60.0))

    part, full = shown(tmp_path, uid)

    assert len(part.content) <= 4 << 20
    assert part.remark.seconds == pytest.approx(60.0)
    assert heard(full.content) == (RATE_HZ, 2, 60 * RATE_HZ)
    assert not full.remark.is_reduced


def test_sealed_samples_are_shown_as_they_were_put(tmp_path: Path) -> None:
    for name, data in {"a.jpg": photo(320, 240), "a.wav": stereo(0.5)}.items():
        place = tmp_path / name
        uid = put(place / "scans", name, data)
        with folder_of(place) as folder:
            folder.store.payloads.put(uid, Path(name).suffix, data)
        (place / "scans" / name).unlink()

        part, _ = shown(place, uid, kind="sealed", **({} if "wav" in name else SIZE))

        if name == "a.jpg":
            assert seen(part.content).shape == (240, 320, 3)
        else:
            assert heard(part.content) == (RATE_HZ, 2, RATE_HZ // 2)


def test_parts_of_a_joined_sample_are_originals_too(
    tmp_path: Path, scans: Path
) -> None:
    put(scans / "photos", "a.jpg", photo(320, 240))
    put(scans / "voices", "a.wav", stereo())
    (scans / "all.toml").write_text(
        '[scan]\ndata = "photos"\nwidth = 8\nheight = 8\n[voice]\ndata = "voices"\n'
    )
    folder = folder_of(tmp_path, data="scans/all.toml")
    uid = Uid(str(folder.pool.uids[0]))
    with folder.new_exhibit() as exhibit:
        scan, voice = exhibit.parts(uid)
    assert seen(scan.content).shape == (240, 320, 3)
    assert heard(voice.content) == (RATE_HZ, 2, 3 * RATE_HZ)


def test_the_page_gives_the_full_one_to_whoever_was_given_the_sample(
    tmp_path: Path, scans: Path
) -> None:
    uid, other = (put(scans, f"{n}.jpg", photo(2000 + n, 1500)) for n in (0, 8))
    folder = folder_of(tmp_path, **SMALL)
    folder.store.queue.add(1, [uid])
    page, tokens = page_settings(folder), list[str]()
    app = page_of_device(folder, page, tokens.append)
    address = f"http://127.0.0.1:{page.port}"
    with running(app, page), httpx.Client(base_url=address) as http:
        assert http.get(f"/api/sample/{uid}/0/full").status_code == 401
        http.get(f"/?token={tokens[-1]}")
        headers = {"x-csrf-token": http.get("/api/start").json()["csrf"]}
        assert http.get(f"/api/sample/{uid}/0/full").status_code == 409  # not given
        http.post("/api/lease", json={"limit": 1}, headers=headers)
        (told,) = http.get(f"/api/sample/{uid}").json()["parts"]
        assert (told["reduced"], told["width"], told["height"]) == (True, 2000, 1500)
        small = http.get(f"/api/sample/{uid}/0")
        full = http.get(f"/api/sample/{uid}/0/full")
        assert small.headers["content-type"] == "image/jpeg"
        assert full.headers["cache-control"] == "no-store"
        assert seen(small.content).shape == (1200, 1600, 3)
        assert seen(full.content).shape == (1500, 2000, 3)
        for path in (f"{uid}/1/full", f"{uid}/x/full", f"{other}/0/full"):
            assert http.get(f"/api/sample/{path}").status_code == 409
        (scans / "0.jpg").unlink()
        folder.store.erasure.forget([uid])
        for path in ("0/full", "0"):
            assert http.get(f"/api/sample/{uid}/{path}").status_code == 410


def test_label_studio_gets_the_original_and_files_in_full(
    tmp_path: Path, scans: Path
) -> None:
    photos = {"a.jpg": photo(2000, 1000), "b.png": photo(200, 100, form="PNG")}
    uids = [put(scans, name, data) for name, data in photos.items()]
    with folder_of(tmp_path, **SMALL) as folder:
        folder.store.queue.add(1, uids)
        exported = {}
        for contents in (TaskContent(), TaskContent(tmp_path)):
            shelf = TaskExport(
                folder.store, folder.exhibit, ("cat", "dog"), contents=contents
            )
            asides = Asides()
            tasks = list(shelf.tasks(uids, asides))
            # A JPEG and a PNG are one kind of field, or half would be left out.
            assert [task.uid for task in tasks] == uids
            exported[contents] = json.dumps(tasks[0].json["data"])
    embedded, _ = exported.values()
    assert embedded.count("data:image/jpeg;base64,") == 1
    assert seen((tmp_path / f"{uids[0]}-0.jpg").read_bytes()).shape == (1000, 2000, 3)
    assert seen((tmp_path / f"{uids[1]}-0.png").read_bytes()).shape == (100, 200, 3)


def test_the_terminal_keeps_the_aspect_and_says_what_the_model_hears(
    tmp_path: Path, scans: Path
) -> None:
    uid = put(scans, "a.jpg", photo())
    part, _ = shown(tmp_path, uid, **SMALL)
    console = Console(width=80, color_system=None, file=io.StringIO(), record=True)

    console.print(picture(part, 72))

    lines = [line for line in console.export_text().splitlines() if "▀" in line]
    columns = {line.count("▀") for line in lines}
    assert columns == {64}  # of 4 to 3: 64 x 48 pixels, two in a character
    assert len(lines) == 24
    (scans / "a.jpg").unlink()
    uid = put(scans, "a.wav", stereo())
    sound, _ = shown(tmp_path, uid, frames=RATE_HZ)
    drawn = picture(sound, 72).plain
    assert "3.0 s at 22050 Hz" in drawn
    assert "the model hears the first 1.0 s" in drawn


class Telescope(Showroom):
    """Has more of every sample than what it shows first."""

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        remark = Remark(width=4000, height=3000)
        return (Part(name="", medium=Medium.JPEG, content=b"small", remark=remark),)

    @override
    def full_parts(self, uid: Uid) -> tuple[Part, ...]:
        return (Part(name="", medium=Medium.JPEG, content=b"all of it"),)


def test_the_service_looks_closer_where_that_fits_into_a_message(
    tmp_path: Path,
) -> None:
    for most, content in ((9, b"all of it"), (8, b"small")):
        place = Place(folder=tmp_path / str(most), exhibit=Telescope())
        place.folder.mkdir()
        place.limits = replace(place.limits, content_bytes=most)
        place.queue(1)
        with place.serving(), place.client() as client:
            (sample,) = client.lease(1, content=True)
            assert [part.content for part in sample.parts] == [b"small"]
            assert [part.content for part in client.show(sample)] == [content]


def test_a_text_is_shown_to_its_end_and_says_how_much_the_model_reads(
    tmp_path: Path, scans: Path
) -> None:
    text = "word " * 4000 + "the end"
    put(scans, "a.txt", text.encode())
    folder = folder_of(tmp_path)
    uid = Uid(str(folder.pool.uids[0]))

    part, _ = shown(tmp_path, uid)

    assert part.content.decode() == text
    assert part.remark.model_reads == 8192
    assert "the model reads the first 8192 characters" in picture(part, 72).plain
    assert len(str(folder.pool.load([uid])[0])) == 8192


def test_a_film_is_told_to_be_one(tmp_path: Path, scans: Path) -> None:
    frames = [Image.new("RGB", (40, 30), each) for each in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    uid = put(scans, "a.gif", buffer.getvalue())

    part, _ = shown(tmp_path, uid, **SMALL)

    assert seen(part.content)[9, 9].tolist() == [255, 0, 0]
    assert part.remark.has_more_frames
    assert "the first of several frames" in picture(part, 72).plain

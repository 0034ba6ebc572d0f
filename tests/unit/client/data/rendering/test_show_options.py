import wave
from pathlib import Path

import pytest

from fedask.client.data.rendering.show_options import shows_of
from fedask.client.data.rendering.showcase import Show
from fedask.client.records.exhibit import Medium
from fedask.client.records.original import ONLY
from fedask.common.errors import ConfigError


def put_wav(path: Path, rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(bytes(8))


def test_a_sound_has_its_own_rate_unless_the_owner_says_another(tmp_path: Path) -> None:
    put_wav(tmp_path / "a.wav", 8000)
    shows = shows_of({"data": str(tmp_path)})
    assert shows == {ONLY: Show(medium=Medium.AUDIO)}
    told = shows_of({"data": str(tmp_path), "show": "audio:11025"})
    assert told[ONLY].rate_hz == 11_025


def test_names_of_channels_are_the_numeric_columns_of_a_window(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("run,x,y\n1,2,3\n")
    shows = shows_of({"data": str(tmp_path), "window": "run"})
    assert shows == {ONLY: Show(medium=Medium.SERIES, names=("x", "y"))}
    chosen = shows_of({"data": str(tmp_path), "columns": "y, x"})
    assert chosen == {ONLY: Show(names=("y", "x"))}


def test_texts_are_told_from_their_kind(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\nhello\n")
    shows = shows_of({"data": str(tmp_path), "kind": "texts"})
    assert shows == {ONLY: Show(medium=Medium.TEXT)}


def test_show_overrules_the_kind(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("x,y\n2,3\n")
    shows = shows_of({"data": str(tmp_path), "show": "image:1x2"})
    assert shows == {
        ONLY: Show(medium=Medium.IMAGE, height=1, width=2, names=("x", "y"))
    }
    with pytest.raises(ConfigError, match="must be image"):
        shows_of({"data": str(tmp_path), "show": "film"})


def test_each_part_of_joined_data_is_shown_by_its_own_kind(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    put_wav(tmp_path / "voices" / "a.wav", 8000)
    (tmp_path / "notes.csv").write_text("id,text\na,hello\n")
    (tmp_path / "all.toml").write_text(
        '[voice]\ndata = "voices"\n'
        '[note]\ndata = "notes.csv"\nid = "id"\ncolumn = "text"\n'
    )
    shows = shows_of({"data": str(tmp_path / "all.toml")})
    assert shows == {
        "voice": Show(medium=Medium.AUDIO),
        "note": Show(medium=Medium.TEXT),
    }
    with pytest.raises(ConfigError, match="for each part"):
        shows_of({"data": str(tmp_path / "all.toml"), "show": "text"})

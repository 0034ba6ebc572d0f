from pathlib import Path

from fedask.client.site.device_settings import read_device_settings

DOCUMENT = Path(__file__).parents[4] / "docs" / "device" / "labelling-service.md"


def test_the_table_of_the_documentation_is_read(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    start = text.index("```toml") + len("```toml")
    (tmp_path / "device.toml").write_text(
        'device = "x"\napp = "app"\nrights = "open"\n[data]\ndata = "scans"\n'
        + text[start : text.index("```", start)]
    )

    service = read_device_settings(tmp_path).service

    assert service is not None
    assert service.address == "unix:/run/fedask/desk"
    assert service.guidelines == tmp_path / "guidelines.txt"

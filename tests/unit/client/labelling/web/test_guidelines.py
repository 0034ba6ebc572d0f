from pathlib import Path

import pytest

from fedask.client.labelling.web.guidelines import (
    MAX_BYTES,
    GuidelineBlock,
    Span,
    parse_guidelines,
    read_guidelines,
)
from fedask.common.errors import ConfigError


def test_a_little_markdown_becomes_blocks() -> None:
    text = "# Rules\nLook at the **edge**\nfirst.\n\n- even: *benign*\n- not: `other`\n"
    assert parse_guidelines(text) == (
        GuidelineBlock("h3", ((Span("", "Rules"),),)),
        GuidelineBlock(
            "p",
            ((Span("", "Look at the "), Span("strong", "edge"), Span("", " first.")),),
        ),
        GuidelineBlock(
            "ul",
            (
                (Span("", "even: "), Span("em", "benign")),
                (Span("", "not: "), Span("code", "other")),
            ),
        ),
    )


def test_plain_text_stays_as_it_is() -> None:
    text = "2 * 3 * 4 <b>is</b> [a](http://b)\r\n\r\n1. one\r\n2) two"
    paragraph, numbered = parse_guidelines(text.replace("2 * 3 * 4", "2*3 is"))
    assert paragraph == GuidelineBlock(
        "p", ((Span("", "2*3 is <b>is</b> [a](http://b)"),),)
    )
    assert numbered.kind == "ol"
    assert len(numbered.lines) == 2


def test_no_file_is_no_guidelines_and_a_wrong_one_an_error(tmp_path: Path) -> None:
    assert read_guidelines(None) == ()
    path = tmp_path / "rules.md"
    with pytest.raises(ConfigError, match="cannot read the guidelines"):
        read_guidelines(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read the guidelines"):
        read_guidelines(path)
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="more than"):
        read_guidelines(path)

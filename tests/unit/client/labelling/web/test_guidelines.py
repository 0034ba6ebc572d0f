from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

from fedask.client.labelling.web.guidelines import (
    MAX_BYTES,
    guidelines_html,
    read_guidelines,
)
from fedask.common.errors import ConfigError

HARMLESS = {"h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "em", "strong", "code"}
HARMLESS |= {"pre", "blockquote", "hr", "br"}
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "text <b onclick='x'>bold</b> <style>*{}</style>",
    "<!-- a comment --> <?php ?> <![CDATA[x]]>",
    "[a link](https://evil.example/?token=1)",
    "[a link](javascript:alert(1) 'title')",
    "![a picture](https://evil.example/pixel.png)",
    "<https://evil.example> <javascript:alert(1)> <a@evil.example>",
    "[here][r] [r][] [r] ![r]\n\n[r]: https://evil.example 'x'",
    '```x" onload=alert(1) class=y\ncode\n```',
    '~~~ "><script>\n</code></pre><script>alert(1)</script>\n~~~',
    "`</code><script>alert(1)</script>`",
    "# <script>\n\n- <img src=x>\n\n> <iframe src=//evil.example>",
    "&lt;script&gt; &#60;script&#62; \\<script> \0<script>",
    "**<script>** *<svg onload=x>*",
)
SLOW = (
    "> " * MAX_BYTES,
    "- " * MAX_BYTES,
    "[" * MAX_BYTES,
    "![[](" * MAX_BYTES,
    "*a **a " * MAX_BYTES,
    "a**b" + "c* " * MAX_BYTES,
    "".join("`" * ticks + " " for ticks in range(800)),
    "&" * MAX_BYTES,
    "x\n" * MAX_BYTES,
    "**x** " * MAX_BYTES,
)


class Elements(HTMLParser):
    """Collects the elements and attributes of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.others: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)

    @override
    def handle_data(self, data: str) -> None:
        self.text += data

    @override
    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    @override
    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    @override
    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    @override
    def handle_pi(self, data: str) -> None:
        self.others.append(data)


def test_a_little_markdown_becomes_html() -> None:
    text = "# Rules\nLook at the **edge**\nfirst.\n\n- even: *benign*\n- not: `other`\n"
    assert guidelines_html(text) == (
        "<h3>Rules</h3>\n"
        "<p>Look at the <strong>edge</strong>\nfirst.</p>\n"
        "<ul>\n<li>even: <em>benign</em></li>\n"
        "<li>not: <code>other</code></li>\n</ul>\n"
    )


def test_plain_text_stays_as_it_is() -> None:
    text = "2 * 3 * 4 <b>is</b> [a](http://b)\r\n\r\n    indented & more"
    assert guidelines_html(text) == (
        "<p>2 * 3 * 4 &lt;b&gt;is&lt;/b&gt; [a](http://b)</p>\n"
        "<p>indented &amp; more</p>\n"
    )


def test_headings_stand_below_those_of_the_page() -> None:
    html = guidelines_html("\n\n".join("#" * level + " x" for level in range(1, 7)))
    tags = [line[1:3] for line in html.splitlines()]
    assert tags == ["h3", "h4", "h5", "h6", "h6", "h6"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_guidelines_runs_loads_or_leads_elsewhere(text: str) -> None:
    found = Elements(guidelines_html(text))
    assert found.tags <= HARMLESS
    assert not found.attributes
    assert not found.others


@pytest.mark.parametrize("text", HOSTILE[:8])
def test_what_is_not_taken_stays_as_it_is_written(text: str) -> None:
    assert Elements(guidelines_html(text)).text.strip() == text


@pytest.mark.slow
@pytest.mark.parametrize("text", SLOW, ids=[text[:6] for text in SLOW])
def test_no_text_of_the_largest_size_keeps_the_page_from_starting(text: str) -> None:
    # Under the time limit of a test; the slowest takes some three seconds.
    assert len(guidelines_html(text[:MAX_BYTES])) <= 6 * MAX_BYTES


def test_no_file_is_no_guidelines_and_a_wrong_one_an_error(tmp_path: Path) -> None:
    assert read_guidelines(None) == ""
    path = tmp_path / "rules.md"
    with pytest.raises(ConfigError, match="cannot read the guidelines"):
        read_guidelines(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read the guidelines"):
        read_guidelines(path)
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="more than"):
        read_guidelines(path)

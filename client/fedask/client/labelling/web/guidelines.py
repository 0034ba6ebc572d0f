"""Reads a site's rules for labelling: plain text or Markdown, made into HTML.

Called by the page once, at its start. The HTML has no links, images or scripts: what
CommonMark would make of them stays as it is written.
"""

from pathlib import Path

from markdown_it import MarkdownIt

from fedask.common.errors import ConfigError

MAX_BYTES = 1 << 18
_LEFT_OUT = ["html_block", "html_inline", "link", "image", "autolink", "reference"]
_LEFT_OUT += ["code"]  # indented lines: many plain texts have them
_LOWEST = 6  # h6
_SHIFT = 2  # the page has an h1, the dialog an h2


def read_guidelines(path: Path | None) -> str:
    """Return the HTML of a file in UTF-8; "" if there is no path.

    Raises
    ------
    ConfigError
        If it cannot be read, is no UTF-8, or is too long.
    """
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read the guidelines {path}: {err}") from err
    if len(content) > MAX_BYTES:
        raise ConfigError(f"the guidelines {path} have more than {MAX_BYTES} bytes")
    return guidelines_html(text)


def guidelines_html(text: str) -> str:
    r"""Return a text as HTML, its headings below those of the page.

    Examples
    --------
    >>> print(guidelines_html("# Rules\nLook at the **edge** <b>first</b>."), end="")
    <h3>Rules</h3>
    <p>Look at the <strong>edge</strong> &lt;b&gt;first&lt;/b&gt;.</p>
    """
    markdown = MarkdownIt("commonmark", {"html": False}).disable(_LEFT_OUT)
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + _SHIFT, _LOWEST)}"
        token.info = ""  # of a block of code: would become the name of a CSS class
    return str(markdown.renderer.render(tokens, markdown.options, {}))

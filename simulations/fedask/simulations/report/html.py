"""Building blocks of a page: escaped text in, HTML out. Called by the report.

``Html`` marks text that is markup already; everything else is escaped here, in one
place, so a scenario, class or arm may have any name. The page carries a policy that
lets a browser load nothing and run nothing.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType

from fedask.simulations.report.style import STYLE

Html = NewType("Html", str)


def esc(text: object) -> Html:
    """Escape anything that is not markup yet."""
    return Html(escape(str(text)))


def join(parts: Iterable[Html], between: str = "\n") -> Html:
    """Put pieces of markup one after the other."""
    return Html(between.join(parts))


def element(name: str, body: Html, kind: str = "") -> Html:
    """Wrap markup in an element, with a class if ``kind`` is given."""
    attribute = f' class="{escape(kind)}"' if kind else ""
    return Html(f"<{name}{attribute}>{body}</{name}>")


def paragraph(text: str, kind: str = "") -> Html:
    """Make a paragraph of plain text."""
    return element("p", esc(text), kind)


def section(title: str, *parts: Html) -> Html:
    """Make a section with its heading."""
    body = join([Html(""), element("h2", esc(title)), *parts, Html("")])
    return element("section", body)


def cell(text: object, note: object = "") -> Html:
    """Make the inside of a table cell, with a small second line if there is a note."""
    small = element("small", esc(note)) if str(note) else ""
    return Html(f"{esc(text)}{small}")


def row(cells: Sequence[Html], kind: str = "") -> Html:
    """Make a table row whose first cell is its heading."""
    first = f'<th scope="row">{cells[0]}</th>'
    body = Html(first + "".join(element("td", inside) for inside in cells[1:]))
    return element("tr", body, kind)


def table(
    caption: Html, head: Sequence[object], rows: Iterable[Html], kind: str = ""
) -> Html:
    """Make a table that scrolls sideways on a narrow screen.

    Parameters
    ----------
    caption
        Says what the table shows.
    head
        Plain text per column; empty for a table without column headings.
    rows
        From ``row``.
    kind
        Class of the table.
    """
    columns = "".join(f'<th scope="col">{esc(name)}</th>' for name in head)
    thead = f"<thead><tr>{columns}</tr></thead>" if columns else ""
    body = join(rows)
    inside = f"<caption><span>{caption}</span></caption>{thead}\n<tbody>{body}</tbody>"
    whole = element("table", Html(inside), kind)
    return Html(f'<div class="scroll" tabindex="0">{whole}</div>')


def folded(title: str, body: Html) -> Html:
    """Hide something behind its title until it is clicked; needs no script."""
    return element("details", join([element("summary", esc(title)), body]))


def terms(pairs: Iterable[tuple[str, str]]) -> Html:
    """Make a list of terms and what they mean."""
    inside = (Html(f"<dt>{esc(term)}</dt><dd>{esc(told)}</dd>") for term, told in pairs)
    return element("dl", join(inside))


def page(title: str, body: Html) -> str:
    """Make the whole document."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{esc(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""

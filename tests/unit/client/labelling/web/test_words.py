"""What the page says: all of it can be translated, and is."""

import re
from pathlib import Path

import pytest
from jinja2 import Environment, nodes
from tests.support.client.page_words import (
    CALLS,
    STRING,
    WEB,
    messages,
    script_messages,
    scripts,
    template_messages,
)

from fedask.client.labelling.web.catalogue import Catalogue, read_catalogue
from fedask.client.labelling.web.languages import WORDS

FILES = sorted(WORDS.glob("*.po"))
# Keys that a person presses have their names on them, in any language.
_CAPS = {"Enter", "ArrowDown", "ArrowUp", "Escape", "Unidentified"}
_NO_WORDS = re.compile(
    r"^(?:[a-z][a-zA-Z0-9]*|[\w.+-]+/[\w.+-]+|[^A-Za-z]*)$"  # a name, a medium, a sign
)


def catalogue(path: Path) -> Catalogue:
    return read_catalogue(path)


def test_there_are_german_and_spanish() -> None:
    assert [path.stem for path in FILES] == ["de", "es"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_message_is_translated_and_none_is_left_over(path: Path) -> None:
    said, wanted = catalogue(path).messages, messages()

    assert {"missing": wanted.keys() - said.keys()} == {"missing": set()}
    assert {"unused": said.keys() - wanted.keys()} == {"unused": set()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_translation_has_the_values_and_forms_of_its_message(path: Path) -> None:
    words = catalogue(path)
    forms = {int(digit) for digit in words.plurals}

    for key, texts in messages().items():
        said = words.messages[key]
        assert len(said) == (len(forms) if len(texts) > 1 else 1), key
        for text in said:
            assert values(text) in [values(each) for each in texts], key
            assert text[:1].isspace() == key[:1].isspace(), key
            assert text.endswith((".", "?", "…")) == key.endswith((".", "?", "…")), key


def values(text: str) -> set[str]:
    return set(re.findall(r"\{\w*\}", text))


def test_a_message_is_counted_or_not_but_not_both() -> None:
    found = {*template_messages(), *script_messages()}

    assert len({each[0] for each in found}) == len(found)


def loose(source: str) -> list[str]:
    """Return the calls of a script whose message does not stand in the call itself."""
    calls = re.finditer(r"(?<![\w.])(?<!function )[tn]\(", source)
    return [
        source[found.start() :][:40]
        for found in calls
        if not CALLS.match(source, found.start())
    ]


def unsaid(source: str) -> list[str]:
    """Return the texts of a script that look like words, and are no messages."""
    rest = re.sub(r'^import .*$|from "[^"]*";$', "", source, flags=re.MULTILINE)
    rest = CALLS.sub("", rest)
    found = re.findall(STRING, rest) + re.findall(r"`([^`]*)`", rest)
    plain = [re.sub(r"\$\{[^}]*\}", "", text) for text in found]
    return [text for text in plain if is_wording(text)]


def is_wording(text: str) -> bool:
    """Tell whether people would read it: a capital letter, or words in a row."""
    if text in _CAPS or _NO_WORDS.match(text):
        return False
    return bool(re.search(r"\b[A-Z][a-z]+|[a-z]{2,} [a-z]{2,}|\u2019", text))


def bare(template: str) -> list[str]:
    """Return what a template says without its being a message."""
    found = Environment().parse(template)  # noqa: S701  (nothing is rendered)
    text = "".join(
        data.data if isinstance(data, nodes.TemplateData) else "\0"
        for output in found.find_all(nodes.Output)
        for data in output.nodes
    )
    attributes = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"\0]+)"', text)
    inside = re.sub(r"<kbd[^>]*>.*?</kbd>|<[^>]*>", "\0", text)
    return [
        each for each in [*attributes, *inside.split("\0")] if re.search(r"\w", each)
    ]


def test_scripts_say_only_messages() -> None:
    for name, source in scripts().items():
        assert unsaid(source) == [], name
        assert loose(source) == [], name


def test_templates_say_only_messages() -> None:
    for path in sorted((WEB / "templates").glob("*.html")):
        assert bare(path.read_text()) == [], path.name


@pytest.mark.parametrize(
    "line",
    [
        'say("Nothing left");',
        "say(`${count} classes left`);",
        'button.textContent = "Fertig";',
        'say("all of them are kept");',
        "say(t(done));",
        'say(n(one, "many", 3));',
        "say(t(`all done`));",
    ],
)
def test_what_a_script_says_past_the_catalogues_is_found(line: str) -> None:
    assert unsaid(line) or loose(line)


@pytest.mark.parametrize(
    "html",
    [
        "<p>{{ _('Help') }}, please</p>",
        '<button aria-label="Close">x</button>',
        '<input placeholder="Find">',
        "{% if a %}<b>Today</b>{% endif %}",
    ],
)
def test_what_a_template_says_past_the_catalogues_is_found(html: str) -> None:
    assert bare(html)


def test_what_is_drawn_does_not_depend_on_where_lines_begin() -> None:
    css = (WEB / "static" / "page.css").read_text()

    assert re.findall(r"[\w-]*(?<![\w-])(?:left|right)\s*:[^;]*;", css) == []
    assert re.findall(r"(?:margin|padding|border)-(?:left|right)|float\s*:", css) == []
    assert re.findall(r"text-align:\s*(?:left|right)", css) == []

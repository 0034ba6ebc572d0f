"""The messages of the labelling page, found in its templates and scripts.

Called by the tests of its words. A message is a key of the catalogues: a text, or two
for one that counts.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import extract_from_ast

from fedask.client.labelling import web

WEB = Path(web.__path__[0])
STRING = r'"((?:[^"\\]|\\.)*)"'
CALLS = re.compile(rf"\bt\({STRING}|\bn\({STRING},\s*{STRING}")
Message = tuple[str, ...]  # one text, or two


def scripts() -> dict[str, str]:
    """Return the source of each script without its comments, by name."""
    return {
        path.name: re.sub(r"(^|\s)//.*", r"\1", path.read_text())
        for path in sorted((WEB / "static").glob("*.js"))
    }


def template_messages() -> Iterator[Message]:
    environment = Environment()  # noqa: S701  (nothing is rendered)
    for path in sorted((WEB / "templates").glob("*.html")):
        tree = environment.parse(path.read_text())
        for _, _, found in extract_from_ast(tree, ("_", "ngettext")):
            texts = (found,) if isinstance(found, str) else found or ()
            yield tuple(text for text in texts if text is not None)


def script_messages() -> Iterator[Message]:
    for source in scripts().values():
        for found in CALLS.finditer(source):
            yield (found[1],) if found[1] is not None else (found[2], found[3])


def messages() -> dict[str, Message]:
    """Return all messages of the page, by their key in a catalogue."""
    return {each[0]: each for each in [*template_messages(), *script_messages()]}


def write_pseudo(folder: Path, code: str = "ar") -> Path:
    """Write a catalogue that puts every message in brackets; returns its folder."""
    folder.mkdir(exist_ok=True)
    rule = "Plural-Forms: nplurals=2; plural=(n != 1);\n"
    blocks = [f'msgid ""\nmsgstr {json.dumps(rule)}']
    for one, *many in messages().values():
        key, said = json.dumps(one), json.dumps(f"⟦{one}⟧")
        if many:
            forms = f"msgstr[0] {said}\nmsgstr[1] {json.dumps(f'⟦{many[0]}⟧')}"
            blocks.append(f"msgid {key}\nmsgid_plural {json.dumps(many[0])}\n{forms}")
        else:
            blocks.append(f"msgid {key}\nmsgstr {said}")
    (folder / f"{code}.po").write_text("\n\n".join(blocks), encoding="utf-8")
    return folder

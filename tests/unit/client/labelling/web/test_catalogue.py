"""PO files as translators' tools write them, and the rules of plurals of languages."""

import gettext
from pathlib import Path

import pytest

from fedask.client.labelling.web.catalogue import Catalogue, read_catalogue
from fedask.common.errors import ConfigError

HEADER = 'msgid ""\nmsgstr ""\n"Language: xx\\n"\n"Plural-Forms: {}\\n"\n'
TWO = "nplurals=2; plural=(n != 1);"
POLISH = (
    "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) "
    "? 1 : 2);"
)
ARABIC = (
    "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 "
    "? 3 : n%100>=11 ? 4 : 5);"
)
FRENCH = "nplurals=2; plural=(n > 1);"
JAPANESE = "nplurals=1; plural=0;"


def read(folder: Path, text: str, rule: str = TWO) -> Catalogue:
    path = folder / "xx.po"
    path.write_text(HEADER.format(rule) + text, encoding="utf-8")
    return read_catalogue(path)


def test_a_message_a_counted_one_and_one_over_several_lines(tmp_path: Path) -> None:
    words = read(
        tmp_path,
        '\n#: page.js\nmsgid "Undo"\nmsgstr "Zur\\"ück"\n'
        '\nmsgid "{count} class"\nmsgid_plural "{count} classes"\n'
        'msgstr[0] "{count} Klasse"\nmsgstr[1] "{count} Klassen"\n'
        '\nmsgid ""\n"A long "\n"one"\nmsgstr ""\n"Eine\\n"\n"lange"\n',
    )

    assert words.gettext("Undo") == 'Zur"ück'
    assert words.gettext("A long one") == "Eine\nlange"
    one, many = "{count} class", "{count} classes"
    assert [words.ngettext(one, many, n) for n in (0, 1, 2)] == [
        "{count} Klassen",
        "{count} Klasse",
        "{count} Klassen",
    ]


def test_what_is_not_translated_is_said_in_english(tmp_path: Path) -> None:
    words = read(
        tmp_path,
        '\nmsgid "Skip"\nmsgstr ""\n'
        '\n#, fuzzy\nmsgid "Undo"\nmsgstr "Vielleicht"\n'
        '\n#~ msgid "Gone"\n#~ msgstr "Weg"\n'
        '\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] ""\nmsgstr[1] "x"\n',
    )

    assert words.messages == {}
    assert words.gettext("Skip") == "Skip"
    assert words.ngettext("a", "b", 2) == "b"


@pytest.mark.parametrize("rule", [TWO, POLISH, ARABIC, FRENCH, JAPANESE])
def test_the_page_needs_no_rule_of_its_own_for_any_number(
    tmp_path: Path, rule: str
) -> None:
    plurals = read(tmp_path, "", rule).plurals
    expected = gettext.c2py(rule.partition("plural=")[2].rstrip(";"))

    for number in range(5000):
        place = plurals[number if number < 200 else 100 + number % 100]
        assert int(place) == expected(number), number


@pytest.mark.parametrize(
    ("text", "rule", "problem"),
    [
        ("msgid Undo\n", TWO, "not a line of a PO file: 'msgid Undo'"),
        ("<<<<<<< HEAD\n", TWO, "not a line of a PO file"),
        ("", "nplurals=2; plural=(n ! 1);", "no rule of plurals"),
        ("", "two", "no rule of plurals"),
        ("", "nplurals=2; plural=__import__('os');", "no rule of plurals"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, text: str, rule: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=r"xx\.po") as refused:
        read(tmp_path, "\n" + text, rule)
    assert problem in str(refused.value)

"""Which language a browser gets."""

from pathlib import Path

import pytest
from tests.support.client.page_words import write_pseudo

from fedask.client.labelling.web.languages import Languages
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.common.errors import ConfigError


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("ES-mx", "es"),
        ("fr-CH, fr;q=0.9, es;q=0.7, en;q=0.8", "en"),
        ("en;q=0.1,es;q=0.2", "es"),
        ("de;q=0,es", "es"),
        ("*", "en"),
        ("ja", "en"),
        ("de;q=high", "en"),
        (";;,,;q=,", "en"),
        (",".join(["xx"] * 20 + ["de"]), "en"),  # nobody reads so many
    ],
)
def test_a_browser_gets_the_language_it_likes_best(wishes: str, code: str) -> None:
    assert Languages().choose(wishes).code == code


def test_the_owner_s_choice_is_everybody_s() -> None:
    assert Languages("es").choose("de").code == "es"
    assert Languages("en").choose("de").code == "en"


def test_a_language_that_the_page_does_not_speak_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"language.*none that the page speaks.*de, es"
    ):
        PageSettings(classes=("a",), language="fr")


def test_a_catalogue_is_all_that_a_language_needs(tmp_path: Path) -> None:
    languages = Languages(folder=write_pseudo(tmp_path))

    found = languages.choose("ar-EG")
    assert (found.code, found.direction) == ("ar", "rtl")
    assert found.catalogue.gettext("Undo") == "⟦Undo⟧"
    assert languages.choose("de").code == "en"
    assert languages.choose("de").direction == "ltr"

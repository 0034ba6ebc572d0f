from pathlib import Path

import pytest

from fedask.client.data.rights.rights_policy import ASK, Right, RightsPolicy
from fedask.client.records.provenance import FOREVER, Provenance, clean, parse_until
from fedask.common.errors import ConfigError, DataError

POLICY = b"""
[defaults]
source = "Ward 3"
[[rule]]
when = {consent = ["no", "withdrawn"]}
may = []
[[rule]]
when = {licence = "CC-by-*", consent = "yes"}
may = ["score", "show", "train"]
[[rule]]
when = {licence = "*"}
may = ["train"]
[retention]
days = 90
"""


@pytest.mark.parametrize(
    ("known", "may"),
    [
        ({"licence": "cc-by-4.0", "consent": "yes"}, ASK),
        ({"licence": "cc-by-4.0", "consent": "no"}, Right.NONE),
        ({"licence": "cc-by-4.0"}, Right.TRAIN),
        ({"licence": "cc0", "consent": "yes"}, Right.TRAIN),
        ({"consent": "yes"}, Right.NONE),
        ({}, Right.NONE),
    ],
)
def test_the_first_rule_that_matches_decides(known: dict[str, str], may: Right) -> None:
    assert RightsPolicy.parse(POLICY).rights(Provenance(**known)) is may  # type: ignore[arg-type]


def test_an_empty_policy_allows_nothing() -> None:
    policy = RightsPolicy.parse(b"")

    everything = Provenance(source="a", licence="b", consent="yes", purpose="c")
    assert policy.rights(everything) is Right.NONE
    assert (policy.days, policy.defaults) == (None, Provenance())


def test_an_unknown_field_matches_no_pattern_at_all() -> None:
    policy = RightsPolicy.parse(b'[[rule]]\nwhen={licence="*"}\nmay=["show"]')

    assert policy.rights(Provenance()) is Right.NONE
    assert policy.rights(Provenance(licence="x")) is Right.SHOW


def test_a_rule_for_every_sample_must_say_so() -> None:
    policy = RightsPolicy.parse(b'[[rule]]\nwhen={}\nmay=["score"]')

    assert policy.rights(Provenance()) is Right.SCORE
    with pytest.raises(ConfigError, match=r"needs when and may; when = \{\}"):
        RightsPolicy.parse(b'[[rule]]\nmay=["score"]')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = []", "did you mean 'rule'"),
        ("[retenton]\ndays = 3", "did you mean 'retention'"),
        ("[retention]\nday = 3", "did you mean 'days'"),
        ("[retention]\ndays = 0", "days = 0 must be"),
        ("[retention]\ndays = true", "days = True must be"),
        ("[retention]\ndays = 1.5", "days = 1.5 must be"),
        ("[defaults]\nlicense = 'x'", "did you mean 'licence'"),
        ("[defaults]\nuntil = 'soon'", "until must be a date"),
        ("[defaults]\nsource = 3", "source = 3 must be a text"),
        ("[[rule]]\nwhen={concent='yes'}\nmay=[]", "did you mean 'consent'"),
        ("[[rule]]\nwhen={until='2027-01-01'}\nmay=[]", "no 'until'"),
        ("[[rule]]\nwhen={consent='yes'}\nmay=['trian']", "did you mean 'train'"),
        ("[[rule]]\nwhen={consent='yes'}\nmay='train'", "may must be a list"),
        ("[[rule]]\nwhen={consent=['yes', 3]}\nmay=[]", "must be a list of texts"),
        ("[[rule]]\nwhen={consent=''}\nmay=[]", "empty pattern matches nothing"),
        ("[[rule]]\nwhen={consent=[]}\nmay=[]", "empty pattern matches nothing"),
        ("[[rule]]\nwhen={}\nmay=[]\nthen=[]", "has no 'then'"),
        ("rule = 3", r"must be written \[\[rule\]\]"),
        ("defaults = 3", "must be a table"),
        ("a = [", "is no TOML"),
    ],
)
def test_what_a_policy_does_not_know_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RightsPolicy.parse(text.encode())


def test_a_policy_file_is_named_in_errors_and_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "rights.toml"
    with pytest.raises(ConfigError, match=f"cannot read the policy.*{path}"):
        RightsPolicy.load(path)
    path.write_bytes(b"rules = []")
    with pytest.raises(ConfigError, match=f"{path}: has no 'rules'"):
        RightsPolicy.load(path)

    path.write_bytes(POLICY)
    one = RightsPolicy.load(path).digest
    path.write_bytes(POLICY + b" ")
    assert len(one) == 64
    assert RightsPolicy.load(path).digest != one


def test_a_huge_policy_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "rights.toml"
    path.write_bytes(b"[" * (1 << 20))

    with pytest.raises(ConfigError, match="has more than"):
        RightsPolicy.load(path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 86_400),  # the day itself still counts
        ("1970-01-02T00:00:00Z", 86_400),
        ("1970-01-02T02:00:00+02:00", 86_400),
        ("never", FOREVER),
        (" Never ", FOREVER),
        ("", 0),
    ],
)
def test_the_end_of_a_right_is_read(text: str, seconds: int) -> None:
    assert parse_until(text) == seconds


@pytest.mark.parametrize(
    "text", ["soon", "1970-01-02T00:00:00", "2027", "2027-02-30", "9999-12-31", "0"]
)
def test_an_end_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="until must be"):
        parse_until(text)


def test_fields_that_look_the_same_are_the_same() -> None:
    assert clean(" \uff23\uff23-BY ") == clean("cc-by") == "cc-by"


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\udcff", "x" * 257])
def test_a_field_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is no field"):
        clean(text)

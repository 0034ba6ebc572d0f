"""The command line in this process: the same ``main``, without starting Python anew."""

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fedask.common.command_line import main


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Fedask = Callable[..., Done]


@pytest.fixture
def fedask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Fedask:
    """Return what runs the program with arguments, without the data sets."""
    monkeypatch.delenv("FEDASK_DATA", raising=False)

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["fedask", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return Done(int(str(code or 0)), printed.out, printed.err)

    return run


# settings, exit code, words of the message
WRONG_SETTINGS = [
    ("ask.quoat=3", 2, ["unknown key 'ask.quoat'", "ask.quota"]),
    ("ask.quota=many", 2, ["ask.quota", "'many'", "int"]),
    ("ask.quota=5000", 2, ["ask.quota = 5000", "samples"]),
    ("ask.quota=100", 2, ["ask.quota = 100", "ask.capacity"]),
    ("ask.cycles=500", 2, ["500 cycles", "samples"]),
    ("ask.shortlist=0.5", 2, ["ask.shortlist = 0.5", "smaller than the batch"]),
    ("ask.policy=globalcut", 2, ["'globalcut'", "global-cut"]),
    ("ask.scorer=margn", 2, ["'margn'", "margin"]),
    ("ask.batcher=clustr", 2, ["'clustr'", "cluster"]),
    ("stream.controller=bigf", 2, ["'bigf'", "biqf"]),
    ("fleet.devices=0", 2, ["fleet.devices = 0", "at least 1"]),
    ("fleet.devices=5000", 3, ["a device without data", "5000 devices"]),
    ("fleet.partition=dirichlt", 2, ["'dirichlt'", "dirichlet"]),
    ("fleet.people=perfct", 2, ["'perfct'", "perfect"]),
    ("strategy.name=FedAvgg", 2, ["'FedAvgg'", "FedAvg"]),
    ("strategy.options.eta=1", 2, ["FedAvg has no option 'eta'"]),
    ("strategy.options.fraction_train=5", 2, ["fraction_train = 5", "at most 1"]),
    ("strategy.options.min_train_nodes=5", 2, ["min_train_nodes = 5", "4 devices"]),
    ("strategy.options.min_available_nodes=9", 2, ["_nodes = 9", "at most 4"]),
    ("strategy.options.min_available_nodes=no", 2, ["_nodes = 'no'", "at most 4"]),
    ("ask.scorer=json:dumps", 2, ["scorer 'json:dumps' cannot be made", "TypeError"]),
    ("ask.scorer=json:JSONDecoder", 2, ["'json:JSONDecoder' lacks needs, __call__"]),
    ("ask.batcher=json:JSONDecoder", 2, ["'json:JSONDecoder' lacks needs, pick"]),
    ("ask.cost=nowhere:cost", 2, ["cannot import 'nowhere'"]),
    ("ask.policy=json:dumps", 2, ["policy 'json:dumps'", "(AskConfig, int)"]),
    ("ask.batcher=json:dumps", 2, ["batcher 'json:dumps' cannot be made"]),
    ("stream.controller=json:dumps", 2, ["controller 'json:dumps'", "StreamConfig"]),
    ("stop.when=json:dumps", 2, ["stopping criterion 'json:dumps' cannot be made"]),
    ("stop.when=plato", 2, ["'plato'", "plateau"]),
    ("stop.labels=9", 2, ["stop.labels = 9", "'budget'"]),
    ("ask.device_labels=1", 2, ["ask.device_labels = 1", "ask.initial = 2"]),
    ("task.model=mpl", 2, ["'mpl'", "mlp"]),
    ("task.name=nowhere:task", 2, ["cannot import 'nowhere'"]),
    ("data.source=fashion-mnist", 3, ["FEDASK_DATA", "github.com/zalandoresearch"]),
    ("data.source=npz", 2, ["data.folder"]),
    ("train.warmup=-1", 2, ["train.warmup = -1"]),
    ("weak.weight=2", 2, ["weak.weight = 2", "(0, 1]"]),
    ("weak.functions=numpy:zeroes", 2, ["has no 'zeroes'", "'zeros'"]),
    (
        "weak.functions=numpy:zeros_like",
        2,
        ["'numpy:zeros_like'", "(11, 8, 8) for"],
    ),
    ("weak.functions=math:sin", 2, ["'math:sin' fails: TypeError"]),
    ("run.resume=7", 2, ["run.resume", "bool"]),
]


@pytest.mark.parametrize(("setting", "code", "words"), WRONG_SETTINGS)
def test_wrong_setting_is_named_and_nothing_is_written(
    fedask: Fedask, setting: str, code: int, words: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = fedask("simulate", "tiny", "--set", setting, "--out", out)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_stopping_criterion_that_cannot_work_is_refused(
    fedask: Fedask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    small = ("--set", "stop.when=budget", "--set", "stop.labels=7")
    done = fedask("simulate", "tiny", *small, "--out", out)
    assert done.returncode == 2
    assert "the first cycle alone asks 8" in done.stderr
    certain = ("--set", "stop.when=uncertainty", "--set", "stop.uncertainty=0.5")
    done = fedask(
        "compare", "tiny", "--policies", "global-cut,local-topk", *certain, "--out", out
    )
    assert done.returncode == 2
    assert "ask.policy = 'local-topk'" in done.stderr
    assert not out.exists()


def test_unknown_scenario_names_those_there_are(
    fedask: Fedask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = fedask("simulate", "digts")
    assert done.returncode == 2
    assert "did you mean 'digits'?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_option_is_a_usage_error(fedask: Fedask) -> None:
    done = fedask("simulate", "tiny", "--bogus")
    assert done.returncode == 2
    assert "--bogus" in done.stderr


def test_errors_are_json_where_json_was_asked_for(
    fedask: Fedask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = fedask("simulate", "tiny", "--set", "ask.bins=0", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "ConfigError"
    assert "ask.bins" in error["message"]


def test_existing_output_folder_is_left_alone(fedask: Fedask, tmp_path: Path) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    for option in ([], ["--overwrite"]):
        done = fedask("simulate", "tiny", "--out", tmp_path, *option)
        assert done.returncode == 2
        assert str(tmp_path) in done.stderr
        assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_output_folder(fedask: Fedask, tmp_path: Path) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    for option in ([], ["--overwrite"], ["--resume"]):
        done = fedask("simulate", "tiny", "--out", kept, *option)
        assert done.returncode == 2
        assert f"{kept} is a file" in done.stderr
    assert kept.read_text() == "mine"


def test_what_a_failed_first_round_leaves_can_be_overwritten(
    fedask: Fedask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    failed = fedask(
        "simulate", "tiny", "--set", "fleet.people=json:dumps", "--out", out
    )
    assert failed.returncode == 2
    assert "people 'json:dumps' cannot be made" in failed.stderr
    done = fedask(
        "simulate", "tiny", "--set", "ask.cycles=1", "--out", out, "--overwrite"
    )
    assert done.returncode == 0, done.stderr


def test_help_shows_defaults_without_markup(fedask: Fedask) -> None:
    done = fedask("simulate", "--help")
    assert "[default: inline]" in done.stdout
    assert "\\" not in done.stdout


def test_data_that_do_not_match_their_checksum_are_refused(
    fedask: Fedask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3")
    for name in (*names, "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"not the original"))
    monkeypatch.setenv("FEDASK_DATA", str(tmp_path))
    done = fedask("simulate", "fashion-mnist", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "SHA-256" in done.stderr or "checksum" in done.stderr
    assert not (tmp_path / "out").exists()


APP = """
from collections.abc import Sequence
import numpy as np
from torch import nn
from fedask.common import Task

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

task = Task(classes=["a", "b", "c"], model=narrow, input_shape=(4,))

def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 4)).astype("float32"), np.arange(60) % 3

def outside():
    return data()[0], np.arange(60) - 1

def channels_last():
    return np.zeros((60, 4, 1, 2)), data()[1]

def cut_short():
    return np.zeros((60, 3)), data()[1]

def fits(loss):
    model = lambda: nn.Linear(4, 3)
    return Task(classes=["a", "b", "c"], model=model, loss=loss)

per_sample = fits(lambda logits, targets: logits.sum(dim=1))
not_a_number = fits(lambda logits, targets: logits.sum() * float("nan"))

class Told(nn.Linear):
    def forward(self, x):
        return {"scores": super().forward(x)}

told = Task(classes=["a", "b", "c"], model=lambda: Told(4, 3))
too_wide = Task(classes=["a", "b", "c"], model=lambda: nn.Linear(5, 3))
images = Task(classes=["a", "b", "c"], model="linear", input_shape=(2, 4, 1))

def holes():
    x, y = data()
    x[7] = np.nan
    return x, y
"""


@pytest.mark.parametrize(
    ("names", "code", "words"),
    [
        ("task data", 2, ["(12, 2) for 12 samples", "3 classes"]),
        ("task outside", 3, ["row 0 has label -1"]),
        ("task holes", 3, ["NaN", "row 7", "fill it in"]),
        ("task cut_short", 2, ["shape (3,)", "input_shape (4,)", "transform="]),
        ("images channels_last", 2, ["(4, 1, 2)", "(2, 4, 1)", "another order"]),
        (
            "per_sample data",
            2,
            ["loss gives shape (", "one number", ".py:"],
        ),
        ("not_a_number data", 2, ["the loss gives NaN", "of the samples"]),
        ("told data", 2, ["the model gives dict", "(12, 3)"]),
        (
            "too_wide data",
            2,
            ["model, given float32 (12, 4), fails: Ru", ".py:"],
        ),
    ],
)
def test_model_and_labels_must_fit_the_classes(
    fedask: Fedask,
    names: str,
    code: int,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, source = names.split()
    module = f"mine_{task}_{source}"
    (tmp_path / f"{module}.py").write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    done = fedask(
        "simulate",
        "tiny",
        "--set",
        f"task.name={module}:{task}",
        "--set",
        f"data.source={module}:{source}",
        "--out",
        tmp_path / "out",
    )
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "out").exists()


OWN = """
import numpy as np
import torch
from torch import nn
from fedask.common import Task

task = Task(classes=["a", "b", "c"], model=lambda: nn.Linear(4, 3))

def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 4)).astype("float32"), np.arange(60) % 3

def absent():
    return np.load("no/such/file.npy")

def with_gradient():
    return torch.zeros(60, 4, requires_grad=True), data()[1]

def elsewhere():
    return torch.zeros(60, 4, device="meta"), data()[1]

def half():
    return torch.zeros(60, 4, dtype=torch.bfloat16), data()[1]

def lost(raw):
    return open("no/such/words.txt")

lost_words = Task(classes="abc", model=lambda: nn.Linear(4, 3), transform=lost)

def measure(task, scenario, arrays):
    return {"accuracy": arrays["nothing"]}

class Stubborn:
    def __init__(self, scenario, policy):
        pass
    def reason(self, cycles):
        return 1 / 0

class Silent:
    name = "silent"
    def __init__(self, truth, scenario):
        pass
    def answer(self, items, tick):
        raise LookupError("nobody is there")
"""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.source={0}:absent", ["FileNotFoundError", "file.npy", "{0}.py:14"]),
        ("data.source={0}:with_gradient", ["requires grad"]),
        ("data.source={0}:elsewhere", ["meta"]),
        ("data.source={0}:half", ["BFloat16"]),
        ("task.name={0}:lost_words", ["transform fails", "words.txt", "{0}.py:26"]),
        ("run.evaluate={0}:measure", ["run.evaluate", "KeyError", "{0}.py:31"]),
        ("stop.when={0}:Stubborn", ["criterion Stubborn", "ZeroDiv", "{0}.py:37"]),
        ("fleet.people={0}:Silent", ["nobody is there", "{0}.py:44"]),
    ],
)
def test_what_the_users_own_code_raises_is_one_sentence_with_its_place(
    fedask: Fedask,
    setting: str,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "own_" + setting.rpartition(":")[2].lower()
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    chosen = [f"data.source={module}:data", f"task.name={module}:task"]
    chosen.append(setting.format(module))
    options = [part for each in chosen for part in ("--set", each)]

    done = fedask("simulate", "tiny", *options, "--out", tmp_path / "out", "--json")

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "ConfigError"
    for word in words:
        assert word.format(module) in error["message"]


def test_a_fault_of_fedask_itself_is_an_error_object_too(
    fedask: Fedask,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = "fedask.simulations.cli.simulate.clear"
    monkeypatch.setattr(here, lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fedask("simulate", "tiny", "--json")
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"kind": "ZeroDivisionError", "message": "division by zero"}


def test_a_fleet_that_diverges_is_told_why(fedask: Fedask, tmp_path: Path) -> None:
    done = fedask("simulate", "tiny", "--set", "train.lr=1e30", "--out", tmp_path / "o")
    assert done.returncode == 8
    assert "train.lr" in done.stderr or "NaN" in done.stderr
    assert done.stderr.startswith("WARNING: ")
    result = json.loads((tmp_path / "o" / "result.json").read_text())
    assert result["ledger"]["answered"] > 0  # the labels count, the updates do not


def test_a_comparison_tells_which_arm_lost_updates(
    fedask: Fedask, tmp_path: Path
) -> None:
    small = ("--seeds", "1", "--set", "ask.cycles=2", "--out", tmp_path / "o")
    arms = ("--arm", "hot:train.lr=1e30", "--arm", "warm:train.lr=0.1")
    done = fedask("compare", "tiny", *arms, *small)
    assert done.returncode == 8, done.stderr  # the first one is the reference
    assert "WARNING: hot: most devices failed in 6 of 6 rounds" in done.stdout
    assert "hot: " in done.stderr
    assert "times: no update: training diverged" in done.stderr
    assert "warm: " not in done.stderr


def test_policies_are_checked_before_the_first_run(
    fedask: Fedask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = fedask("compare", "tiny", "--policies", "global-cut,globalcut", "--out", out)
    assert done.returncode == 2
    assert "did you mean 'global-cut'?" in done.stderr
    assert not out.exists()


# options of compare, words of the message
WRONG_ARMS = [
    (["--scorers", "margin,entropi"], ["unknown scorer 'entropi'", "'entropy'"]),
    (["--scorers", "0.5*margin + 0.5*entropi"], ["'entropi'", "'entropy'"]),
    (["--batchers", "top,clustr"], ["unknown batcher 'clustr'", "'cluster'"]),
    (["--scorers", "margin,margin"], ["--scorers", "names 'margin' twice"]),
    (["--scorers", ","], ["--scorers", "names nothing"]),
    (["--arm", "a"], ["--arm 'a'", "NAME:key=value"]),
    (["--arm", "a:ask.quoat=3"], ["arm 'a'", "ask.quota"]),
    (["--arm", "a:ask.quota=5000"], ["arm 'a'", "5000", "samples"]),
    (["--arm", "a:ask.scorer=margn"], ["arm 'a'", "'margn'", "'margin'"]),
    (["--arm", "a:ask.cycles=500"], ["arm 'a'", "500 cycles"]),
    (["--arm", "a:seed=3"], ["arm 'a' cannot set seed"]),
    (["--arm", "a:", "--arm", "a:ask.quota=3"], ["two arms are named 'a'"]),
    (["--arm", "a:", "--arm", "b:"], ["'a' and 'b' are the same"]),
    (["--arm", "a:", "--arm", "b:data.source=mine:data"], ["arm 'b'", "'mine'"]),
    (["--reference", "uniform"], ["--reference 'uniform'", "'uniform-random'"]),
]


@pytest.mark.parametrize(("options", "words"), WRONG_ARMS)
def test_wrong_arm_is_named_and_nothing_is_replaced(
    fedask: Fedask, options: list[str], words: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "runs").mkdir(parents=True)  # from before: kept, unless a run can start
    done = fedask("compare", "tiny", *options, "--overwrite", "--out", out)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in out.iterdir()] == ["runs"]


def test_arms_with_other_classes_cannot_be_compared(
    fedask: Fedask, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "three.npz", x=rng.random((90, 8, 8)), y=np.arange(90) % 3)
    three = f"three:data.source=npz,data.folder={tmp_path / 'three.npz'}"
    out = tmp_path / "out"
    done = fedask("compare", "tiny", "--arm", "ten:", "--arm", three, "--out", out)
    assert done.returncode == 2, done.stderr
    assert "'ten' and 'three' have different classes" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("name", ["Bad_Name", "-x", "x" * 40, "1app", "class", "json"])
def test_an_app_needs_a_name_that_flower_takes(
    fedask: Fedask, name: str, tmp_path: Path
) -> None:
    done = fedask("new", tmp_path / name)
    assert done.returncode == 2
    assert name in done.stderr
    assert list(tmp_path.iterdir()) == []

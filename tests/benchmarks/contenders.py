"""Lets one library choose, and says what it chose, how long it took and what memory.

A script, not a module: the ``select`` benchmark runs it in a process of its own, with
the Python of the peers for a peer and with its own for fedask. So it imports NumPy, and
the library at hand when its turn comes; arrays come and go as ``.npy`` files.

    python -I contenders.py LIBRARY KIND K FOLDER SECONDS

What a library wants its input to look like is made beforehand and not counted.
"""

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Choose = Callable[[], Any]  # gives the chosen rows
Prepare = Callable[[Arrays, int], Choose]

FLOOR = "copy"
_MOST_RUNS = 9
_STATUS = Path("/proc/self/status")
_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_UNCERTAINTY = "fedask.client.learning.scorers.uncertainty"


def _load(target: str) -> Any:  # noqa: ANN401  (of a library that is not here)
    module, _, attr = target.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attr) if attr else found


class _Fixed:
    """A fitted classifier whose predictions are known: selection alone is measured."""

    def __init__(self, probs: NDArray[Any]) -> None:
        self._probs = probs

    def predict_proba(self, _: object, dropout_sampling: int = 1) -> NDArray[Any]:
        del (
            dropout_sampling
        )  # small-text asks for draws, (n, t, c), which are known too
        return self._probs


def _top(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the rows of the k largest scores: what a caller of NumPy would write."""
    return np.argpartition(scores, -k)[-k:]


def _copy(arrays: Arrays, k: int) -> Choose:
    """Read and write the input once: the floor."""
    pairs = [(np.zeros_like(array), array) for array in arrays.values()]

    def choose() -> NDArray[np.int64]:
        for target, array in pairs:
            np.copyto(target, array)
        return np.arange(k)

    return choose


def _scored(target: str, field: str, arrays: Arrays, k: int) -> Choose:
    """Score a whole matrix and keep the running top k, as for a pool: fedask."""
    score, make_best = (
        _load(target),
        _load("fedask.client.learning.selection.best_scores:BestScores"),
    )
    values = arrays[field]
    uids = np.array([f"{row:032x}" for row in range(values.shape[-2])])

    def choose() -> list[int]:
        best = make_best(k)
        best.add(uids, score(values), lambda rows: rows)
        return [int(uid, 16) for uid in best.result().uids.tolist()]

    return choose


def _batched(name: str, arrays: Arrays, k: int) -> Choose:
    """Let a batcher choose from a shortlist of equal scores: fedask."""
    module = _load("fedask.client.learning.batchers.batcher")
    batcher, features = module.make_batcher(name), arrays["features"]
    count = len(features)
    fields: dict[str, Any] = {
        "scores": np.zeros(count, dtype=np.float32),
        "accepted": np.zeros(count, dtype=np.bool_),
        "features": features,
        "probs": arrays.get("probs", np.zeros((count, 0), dtype=np.float32)),
    }
    if "labelled" in arrays:
        fields["anchors"] = arrays["labelled"]
    shortlist = module.Shortlist(**fields)
    return lambda: batcher.pick(shortlist, k, np.random.default_rng(0))


def _modal(name: str, arrays: Arrays, k: int) -> Choose:
    query, probs = _load(f"modAL.uncertainty:{name}"), arrays["probs"]
    return lambda: query(_Fixed(probs), probs, n_instances=k)[0]


def _modal_bald(arrays: Arrays, k: int) -> Choose:
    # Private there: only its dropout learner calls it.
    score, draws = _load("modAL.dropout:_bald_divergence"), list(arrays["draws"])
    return lambda: _top(score(draws), k)


def _activeml(method: str, arrays: Arrays, k: int) -> Choose:
    """Query as documented, one batch of k."""
    strategy = _load("skactiveml.pool:UncertaintySampling")(method, random_state=0)
    probs, unknown = arrays["probs"], np.full(len(arrays["probs"]), np.nan)
    clf = _activeml_classifier(lambda inputs: inputs)
    return lambda: strategy.query(probs, unknown, clf, fit_clf=False, batch_size=k)


def _activeml_scores(method: str, arrays: Arrays, k: int) -> Choose:
    """Call only the score function; the top k is chosen by hand."""
    score, probs = _load("skactiveml.pool:uncertainty_scores"), arrays["probs"]
    return lambda: _top(score(probs, method=method), k)


def _activeml_core_set(arrays: Arrays, k: int) -> Choose:
    seeds = len(arrays["labelled"])
    whole = np.concatenate([arrays["labelled"], arrays["features"]])
    known = np.full(len(whole), np.nan)
    known[:seeds] = 0
    strategy = _load("skactiveml.pool:CoreSet")(random_state=0)
    return lambda: np.asarray(strategy.query(whole, known, batch_size=k)) - seeds


def _activeml_badge(arrays: Arrays, k: int) -> Choose:
    features, unknown = arrays["features"], np.full(len(arrays["features"]), np.nan)
    clf = _activeml_classifier(lambda _: arrays["probs"])
    strategy = _load("skactiveml.pool:Badge")(random_state=0)
    return lambda: strategy.query(features, unknown, clf, fit_clf=False, batch_size=k)


def _activeml_bald(arrays: Arrays, k: int) -> Choose:
    """Score a batch of one by BatchBALD, which is BALD."""
    score, draws = _load("skactiveml.pool._bald:batch_bald"), arrays["draws"]
    return lambda: _top(score(draws, 1)[0], k)


def _activeml_classifier(predict: Callable[[Any], NDArray[Any]]) -> Any:  # noqa: ANN401  (JSON)
    parent = _load("skactiveml.base:SkactivemlClassifier")
    body = {
        "fit": lambda self, *_: self,
        "predict_proba": lambda _, inputs: predict(inputs),
    }
    return type("Known", (parent,), body)()


def _baal(name: str, arrays: Arrays, k: int) -> Choose:
    heuristic = _load(f"baal.active.heuristics:{name}")()
    given = arrays.get("probs")
    if given is None:  # draws are (n, c, t) there
        given = np.ascontiguousarray(np.moveaxis(arrays["draws"], 0, 2))
    return lambda: heuristic.get_ranks(given)[0][:k]


def _small_text(name: str, arrays: Arrays, k: int) -> Choose:
    make = _load(f"small_text.query_strategies:{name}")
    if "draws" in arrays:  # (n, t, c) there
        strategy = make(len(arrays["draws"]))
        given = np.ascontiguousarray(np.swapaxes(arrays["draws"], 0, 1))
    else:
        strategy, given = make(), arrays["probs"]
    every, none, clf = np.arange(len(given)), np.zeros(0, np.int64), _Fixed(given)
    return lambda: strategy.query(clf, given, every, none, none, n=k)


def _small_text_core_set(arrays: Arrays, k: int) -> Choose:
    greedy = _load("small_text.query_strategies.coresets:greedy_coreset")
    whole = np.concatenate([arrays["features"], arrays["labelled"]])
    every, labelled = np.split(np.arange(len(whole)), [len(arrays["features"])])
    return lambda: greedy(whole, every, labelled, k, distance_metric="euclidean")


def _small_text_badge(arrays: Arrays, k: int) -> Choose:
    module = _load("small_text.integrations.pytorch.query_strategies.strategies")
    h, probs = arrays["features"], arrays["probs"]
    strategy = module.BADGE(probs.shape[1])
    every, none = np.arange(len(probs)), np.zeros(0, np.int64)
    return lambda: strategy.sample(
        None, h, every, none, none, k, h, embeddings_proba=probs
    )


def _cleanlab(arrays: Arrays, k: int) -> Choose:
    """Score by ActiveLab: unlabelled, by least confidence; a low score asks first."""
    score = _load("cleanlab.multiannotator:get_active_learning_scores")
    return lambda: _top(-score(pred_probs_unlabeled=arrays["probs"])[1], k)


CONTENDERS: dict[str, dict[str, Prepare]] = {
    "fedask": {
        "margin": partial(_scored, f"{_UNCERTAINTY}:margin", "probs"),
        "entropy": partial(_scored, f"{_UNCERTAINTY}:entropy", "probs"),
        "least-confidence": partial(
            _scored, f"{_UNCERTAINTY}:least_confidence", "probs"
        ),
        "bald": partial(
            _scored, "fedask.client.learning.scorers.committee:bald", "draws"
        ),
        "k-center": partial(_batched, "k-center"),
        "badge": partial(_batched, "kmeans++"),
    },
    "modAL-python": {
        "margin": partial(_modal, "margin_sampling"),
        "entropy": partial(_modal, "entropy_sampling"),
        "least-confidence": partial(_modal, "uncertainty_sampling"),
        "bald": _modal_bald,
    },
    "scikit-activeml": {
        "margin": partial(_activeml, "margin_sampling"),
        "entropy": partial(_activeml, "entropy"),
        "least-confidence": partial(_activeml, "least_confident"),
        "k-center": _activeml_core_set,
        "badge": _activeml_badge,
        "bald": _activeml_bald,
    },
    "scikit-activeml: scores only": {
        "margin": partial(_activeml_scores, "margin_sampling"),
        "entropy": partial(_activeml_scores, "entropy"),
        "least-confidence": partial(_activeml_scores, "least_confident"),
    },
    "baal": {
        "margin": partial(_baal, "Margin"),
        "entropy": partial(_baal, "Entropy"),
        "least-confidence": partial(_baal, "Certainty"),
        "bald": partial(_baal, "BALD"),
    },
    "small-text": {
        "margin": partial(_small_text, "BreakingTies"),
        "entropy": partial(_small_text, "PredictionEntropy"),
        "least-confidence": partial(_small_text, "LeastConfidence"),
        "k-center": _small_text_core_set,
        "badge": _small_text_badge,
        "bald": partial(_small_text, "BALD"),
    },
    "cleanlab": {"least-confidence": _cleanlab},
}


def measure(choose: Choose, seconds: float) -> dict[str, Any]:
    """Run until the time is up, at least once, and note time and memory."""
    before = mib("VmRSS")
    reset_peak()
    times: list[float] = []
    rows: Any = ()
    while not times or (sum(times) < seconds and len(times) < _MOST_RUNS):
        started = time.perf_counter()
        rows = choose()
        times.append(time.perf_counter() - started)
    peak = mib("VmHWM")
    return {
        "rows": np.asarray(rows, dtype=np.int64),
        "seconds": median(times),
        "runs": len(times),
        "extra_mib": None if before is None or peak is None else peak - before,
    }


def reset_peak() -> None:
    """Let the peak of this process start anew; nothing where Linux is not."""
    if _REFS.exists():
        _REFS.write_text(_RESET_PEAK, encoding="ascii")


def mib(field: str) -> float | None:
    """Read a figure of this process from Linux: VmRSS, VmHWM; None elsewhere."""
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(li.split()[1]) / 1024 for li in lines if li.startswith(field))


def main(words: list[str]) -> None:
    """Measure, and leave ``rows.npy`` and ``result.json`` in the folder."""
    library, kind, k, name, seconds = words
    warnings.simplefilter("ignore")
    folder = Path(name)
    arrays = {path.stem: np.load(path) for path in sorted(folder.glob("in/*.npy"))}
    prepare = _copy if library == FLOOR else CONTENDERS[library][kind]
    result = measure(prepare(arrays, int(k)), float(seconds))
    np.save(folder / "rows.npy", result.pop("rows"))
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The first questions of a device, before anybody has given it a label.

Called by the selector, under the cut of the first cycle. No label is needed to see
structure: an encoder shows it, even an untrained one. One question per cluster of its
features, the best score of each; with ``typicality`` that is TypiClust.

A device that asks only a few draws the clusters, large ones sooner. If the best went
first, devices that hold much the same would all ask the commonest kind; if every
cluster was as likely, devices that hold one kind would ask its oddities.

References
----------
Hacohen, Dekel, Weinshall, "Active learning on a budget: opposite strategies suit high
and low budgets", ICML 2022.
"""

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.batchers.batcher import Shortlist, make_batcher
from fedask.client.learning.scorers.scorer import Scorer, check_scores
from fedask.client.learning.selection.predictor import Predictor
from fedask.client.records.pool import Pool
from fedask.common.ids import Uid
from fedask.common.user_code import user_code

CANDIDATES = 2048  # of the pool, by hash: enough to see its clusters in
FEWEST_CELLS = 10  # that a few questions are drawn from; no more samples: no clusters


def first_by_hash(pool: Pool, most: int, nonce: int) -> list[Uid]:
    """Return ``most`` samples chosen by hash: random, but the same every time."""
    return [Uid(uid) for uid in pool.uids[pool.drawn(most, nonce)].tolist()]


def view_candidates(
    pool: Pool, predictor: Predictor, scorer: Scorer, nonce: int
) -> tuple[list[Uid], Shortlist]:
    """Score a bounded part of the pool; returns it best first, with its features.

    Parameters
    ----------
    pool
        Not empty.
    predictor
        Fills features, and what the scorer needs.
    scorer
        Says which sample of a cluster is the best.
    """
    drawn = np.array(first_by_hash(pool, CANDIDATES, nonce))
    drawn.sort()
    raw = pool.load([Uid(uid) for uid in drawn.tolist()])
    context = predictor.scoring_context(pool, [])
    view = predictor.view(drawn, raw, context)
    name = getattr(scorer, "name", type(scorer).__name__)
    with user_code(f"the scorer {name!r}", scorer):
        scores = np.asarray(scorer(view, context), dtype=np.float32)
    check_scores(name, scores, len(drawn))
    best = np.lexsort((drawn, -scores))
    shortlist = Shortlist(
        scores[best],
        np.ones(len(best), dtype=np.bool_),
        features=view.features[best],
        probs=view.probs[best],
    )
    return [Uid(uid) for uid in drawn[best].tolist()], shortlist


def first_by_cluster(
    seen: tuple[list[Uid], Shortlist], most: int, rng: np.random.Generator
) -> list[Uid]:
    """Return the best candidate of each cluster, at most ``most`` of them."""
    uids, shortlist = seen
    cells = min(max(most, FEWEST_CELLS), len(uids))
    rows = make_batcher("cluster").pick(shortlist, cells, rng)
    if most < cells:
        rows = draw_clusters(rows, shortlist.features, most, rng)
    return [uids[row] for row in rows]


def draw_clusters(
    rows: NDArray[np.int64],
    features: NDArray[np.float32],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw some of the clusters, with odds by the root of their sizes.

    Parameters
    ----------
    rows
        (k,) one of each cluster.
    features
        (n, d) of all; each belongs to the nearest of ``rows``.
    count
        At most k.
    """
    nearest = np.zeros(len(features), dtype=np.int64)
    closest = np.full(len(features), np.inf)
    for cluster, row in enumerate(rows):
        gaps = ((features - features[row]).astype(np.float64) ** 2).sum(axis=1)
        nearest[gaps < closest] = cluster
        closest = np.minimum(closest, gaps)
    # Of two rows with equal features the later one stands for nothing but itself.
    weights = np.sqrt(np.bincount(nearest, minlength=len(rows)) + 1.0)
    return rng.choice(rows, count, replace=False, p=weights / weights.sum())

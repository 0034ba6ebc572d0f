"""Guesses on the page: made ready while people look, never in the way of samples."""

import threading
from pathlib import Path

import httpx
import numpy as np
from tests.support.client.site import Site
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import first_cut
from typing_extensions import override

from fedask.client.labelling.web.hints import Guess, Guesses, Hints
from fedask.client.site.model_guess import ModelGuesses
from fedask.common.ids import Uid

TEXTS = np.array([f"item {number}" for number in range(8)])


class _Slow(Guesses):
    """A model that takes as long to load as this test wants."""

    def __init__(self) -> None:
        self.loading = threading.Event()
        self.loaded = threading.Event()
        self.loads = 0
        self.was_awaited = False

    @override
    def prepare(self) -> None:
        self.loads += 1
        self.loading.set()
        self.was_awaited = not self.loaded.wait(10)

    @override
    def guess(self, uid: Uid) -> Guess:
        return Guess(label=1)


def test_a_model_loads_once_a_sample_is_there_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    model = _Slow()
    site = Site(tmp_path, TEXTS, ("a", "b"), hints=Hints(guesses=model))
    with site.running(), httpx.Client(base_url=site.address, timeout=20) as http:
        http.get(site.link)
        csrf = http.get("/api/start").json()["csrf"]
        assert not model.loading.is_set()  # nobody has seen anything yet
        headers = {"x-csrf-token": csrf}
        leases = http.post("/api/lease", json={"limit": 4}, headers=headers).json()
        uids = [lease["uid"] for lease in leases["leases"]]

        shown = [http.get(f"/api/sample/{uid}/0").text for uid in uids]

        assert shown == [f"item {number}" for number in range(4)]
        assert model.loading.wait(20)
        model.loaded.set()
        assert http.get(f"/api/guess/{uids[0]}").json()["label"] == 1
        assert model.loads == 1
        assert not model.was_awaited  # by the other samples


def test_what_a_first_guess_needs_is_loaded_before_it(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(10, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.round(1, 1, score=True)
    folder = ward.process(FIRST)
    with ModelGuesses(folder) as guesses:
        guesses.prepare()

        ready = vars(guesses._folder)
        assert {"run", "pool", "store"} <= ready.keys()


def test_before_the_first_model_there_is_nothing_to_prepare(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(2, FIRST)
    with ModelGuesses(ward.process(FIRST)) as guesses:
        guesses.prepare()

        assert "run" not in vars(guesses._folder)

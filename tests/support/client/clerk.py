"""The queue as a person would keep it on paper: plain dicts, one rule after another."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fedask.client.records.label_queue import Item, ItemState
from fedask.common.ids import Uid

LENGTH = timedelta(seconds=60)
CLOSED = ("labelled", "trained", "skipped")


@dataclass
class Paper:
    """One sample."""

    cycle: int
    score: float
    state: str = "queued"
    label: int | None = None
    asked: int = 1
    expired: int = 0
    outcome: str | None = None
    opinions: list[tuple[str, str | int]] = field(default_factory=list)
    leases: dict[str, datetime] = field(default_factory=dict)

    def item(self, uid: Uid) -> Item:
        ends = self.leases.values() if self.state == "leased" else ()
        return Item(
            uid=uid,
            state=ItemState(self.state),
            cycle=self.cycle,
            label=self.label,
            asked=self.asked,
            expired=self.expired,
            leased_until=max(ends, default=None),
            outcome=None if self.outcome is None else ItemState(self.outcome),
        )


class Clerk:
    """Follows the rule of ``one`` (agree = 1) or ``two`` (agree = 2)."""

    def __init__(self, agree: int) -> None:
        self.agree = agree
        self.papers: dict[Uid, Paper] = {}
        self.said: list[tuple[str, Uid]] = []  # annotations that may be taken back

    def add(self, cycle: int, uids: list[Uid], scores: dict[Uid, float]) -> None:
        for uid in uids:
            paper = self.papers.get(uid)
            if paper is None:
                self.papers[uid] = Paper(cycle, scores.get(uid, 1.0))
            elif paper.state == "expired":
                paper.state, paper.cycle = "queued", cycle
                paper.asked += 1
            if uid in scores:
                self.papers[uid].score = scores[uid]

    def tick(self, now: datetime) -> None:
        """End leases that are over; shorten those that are too long."""
        for paper in self.papers.values():
            for who, until in list(paper.leases.items()):
                if until < now:
                    del paper.leases[who]
                else:
                    paper.leases[who] = min(until, now + LENGTH)
            self.refresh(paper)

    def lease(self, who: str, limit: int, now: datetime) -> list[Uid]:
        self.tick(now)
        held = sorted(uid for uid, paper in self.papers.items() if who in paper.leases)
        order = sorted(
            self.papers, key=lambda u: (-self.papers[u].score, self.papers[u].cycle, u)
        )
        for uid in order:
            if len(held) < limit and self.may_have(who, self.papers[uid]):
                held.append(uid)
        for uid in held:
            self.papers[uid].leases[who] = now + LENGTH
            self.refresh(self.papers[uid])
        return held

    def may_have(self, who: str, paper: Paper) -> bool:
        if paper.state not in {"queued", "leased"} or who in paper.leases:
            return False
        if who in [name for name, _ in paper.opinions]:
            return False
        labels = [said for _, said in paper.opinions if isinstance(said, int)]
        agreeing = max([labels.count(label) for label in labels], default=0)
        return len(paper.leases) < max(1, self.agree - agreeing)

    def submit(self, who: str, uid: Uid, said: str | int, now: datetime) -> None:
        self.tick(now)
        paper = self.papers[uid]
        paper.leases.pop(who, None)
        names = [name for name, _ in paper.opinions]
        if who in names:
            paper.opinions[names.index(who)] = (who, said)
            self.said.remove((who, uid))
        else:
            paper.opinions.append((who, said))
        self.said.append((who, uid))
        self.refresh(paper)

    def undo(self, who: str, now: datetime) -> Uid | None:
        self.tick(now)
        mine = [
            uid
            for name, uid in self.said
            if name == who and who not in self.papers[uid].leases
        ]
        if not mine:
            return None
        paper = self.papers[mine[-1]]
        if paper.state != "trained":
            paper.opinions = [each for each in paper.opinions if each[0] != who]
            self.said.remove((who, mine[-1]))
        paper.leases[who] = now + LENGTH
        self.refresh(paper)
        return mine[-1]

    def release(self, who: str, now: datetime) -> None:
        self.tick(now)
        for paper in self.papers.values():
            paper.leases.pop(who, None)
            self.refresh(paper)

    def expire(self, uids: list[Uid]) -> None:
        for uid in uids:
            paper = self.papers[uid]
            if paper.state in {"queued", "leased"}:
                paper.state, paper.leases = "expired", {}
                paper.expired += paper.outcome is None

    def answer(self, uid: Uid, label: int) -> bool:
        """Return whether an oracle's answer was the first, or raise ``KeyError``."""
        paper = self.papers[uid]
        if paper.label is not None:
            return False
        if paper.state in {"skipped", "expired"}:
            raise KeyError(uid)
        paper.opinions.append(("oracle", f"given {label}"))
        self.refresh(paper)
        return True

    def refresh(self, paper: Paper) -> None:
        """Work out what the opinions make of it."""
        state, label = self.annotation(paper.opinions)
        if state == "open":
            waits = "leased" if paper.leases else "queued"
            if paper.state == "expired" and not paper.leases:
                waits = "expired"
            paper.asked += paper.state == "expired" != waits and paper.outcome is None
            paper.state, paper.label = waits, None
            return
        if paper.state not in CLOSED:
            paper.asked += paper.state == "expired" and paper.outcome is None
            paper.leases = {}
        if (paper.state, paper.label) != ("trained", label):
            paper.state, paper.label = state, label
        paper.outcome = paper.outcome or state

    def annotation(
        self, opinions: list[tuple[str, str | int]]
    ) -> tuple[str, int | None]:
        """Read the opinions from the first, until something is settled."""
        for end in range(1, len(opinions) + 1):
            said = [each for _, each in opinions[:end]]
            last = said[-1]
            if isinstance(last, str) and last.startswith("given"):
                return "labelled", int(last.split()[1])
            if last == "skip" or said.count("unsure") == 2:
                return "skipped", None
            labels = [each for each in said if isinstance(each, int)]
            if isinstance(last, int) and labels.count(last) == self.agree:
                return "labelled", last
            if len(set(labels)) == 3 and self.agree == 2:
                return "skipped", None
        return "open", None

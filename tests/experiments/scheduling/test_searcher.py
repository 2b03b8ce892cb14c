"""What the searcher suggests, and when: enough for every slot to begin with, then one run ahead."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search.searcher import Searcher

from experiments.ledger import Ledger, Record
from experiments.ledger.record import commit
from experiments.preflight.slot import Claim
from experiments.scheduling import Run, RunQueue
from experiments.scheduling.cluster import fitting
from experiments.scheduling.room import Room
from experiments.scheduling.searcher import LedgerSearcher
from experiments.scheduling.trainable import CLAIM, FRESH, NO_ROOM, PAUSED, UNTIL
from experiments.training.adjustments import ADJUSTMENTS_FILE, Adjustments


class Watcher:
    """An observer that only notes the calls."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.calls: list[tuple[Any, ...]] = []

    def describe(self, run: Run) -> dict[str, Any]:
        return {"fold": run.fold, "folder": str(self.ledger.folder(*run))}

    def find(self, run: Run) -> Record | None:
        return self.ledger.get(*run)

    def started(self, run: Run) -> None:
        self.calls.append(("started", run))

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None:
        raise AssertionError("no epochs here")

    def crashed(self, run: Run, crashes: int, again: bool) -> None:
        self.calls.append(("crashed", run, crashes, again))

    def hung(self, run: Run, seconds: float) -> None:
        raise AssertionError("no epochs here")

    def adjusted(self, run: Run, note: str) -> None:
        self.calls.append(("adjusted", run, note))

    def reached(self, run: Run) -> None:
        self.calls.append(("reached", run))

    def returned(self, run: Run) -> None:
        self.calls.append(("returned", run))

    def ended(self, run: Run, record: Record) -> None:
        self.calls.append(("ended", run))

    def paused(self, reason: str) -> None:
        self.calls.append(("paused", reason))

    def resumed(self) -> None:
        self.calls.append(("resumed",))


def record(run: Run) -> Record:
    return Record(
        sweep="s", configuration=run.configuration, fold=run.fold, status="complete", code="", data="", split="", seed=0
    )


def searcher_of(folder: Path, runs: list[Run], at_once: int) -> tuple[LedgerSearcher, Watcher]:
    watcher = Watcher(Ledger(folder, "s"))
    return LedgerSearcher(RunQueue(runs, retries=1), watcher, watcher.describe, "m:C", at_once), watcher


def suggested(searcher: LedgerSearcher, trial: str) -> int | str | None:
    config = searcher.suggest(trial)
    return json.loads(config["spec"])["fold"] if isinstance(config, dict) else None


def test_as_many_wait_at_first_as_fit_then_one_more_than_run(tmp_path: Path) -> None:
    runs = [Run("a", fold) for fold in range(6)]
    searcher, watcher = searcher_of(tmp_path, runs, at_once=3)
    assert [suggested(searcher, f"t{index}") for index in range(4)] == [0, 1, 2, None]
    searcher.started("t0")
    assert suggested(searcher, "t3") is None  # two wait, two more fit
    searcher.started("t1")
    searcher.started("t2")
    assert suggested(searcher, "t3") == 3
    assert suggested(searcher, "t4") is None
    commit(record(runs[0]), watcher.ledger.folder(*runs[0]))
    searcher.on_trial_complete("t0")
    searcher.started("t3")
    assert [suggested(searcher, "t4"), suggested(searcher, "t5")] == [4, None]


def test_it_is_finished_when_the_last_run_has_ended_and_not_before(tmp_path: Path) -> None:
    runs = [Run("a", 0), Run("a", 1)]
    searcher, watcher = searcher_of(tmp_path, runs, at_once=2)
    assert [suggested(searcher, "t0"), suggested(searcher, "t1")] == [0, 1]
    searcher.started("t0")
    searcher.started("t1")
    assert searcher.suggest("t2") is None
    searcher.on_trial_complete("t0", error=True)  # its worker died
    assert suggested(searcher, "t2") == 0
    commit(record(runs[1]), watcher.ledger.folder(*runs[1]))
    searcher.on_trial_complete("t1", error=True)  # died after its commit
    searcher.on_trial_complete("unknown")
    searcher.started("unknown")
    searcher.on_trial_complete("t2", error=True)
    assert searcher.suggest("t3") == Searcher.FINISHED
    assert watcher.calls == [
        ("started", runs[0]),
        ("started", runs[1]),
        ("crashed", runs[0], 1, True),
        ("ended", runs[1]),
        ("crashed", runs[0], 2, False),
    ]


def test_a_run_that_pauses_has_neither_crashed_nor_ended(tmp_path: Path) -> None:
    run, watcher = Run("a", 0), Watcher(Ledger(tmp_path, "s"))
    pauses = iter([2, None])
    queue = RunQueue([run], retries=0, more=iter([[run], []]).__next__)
    searcher = LedgerSearcher(queue, watcher, watcher.describe, "m:C", until=lambda run: next(pauses))
    first = searcher.suggest("t0")
    assert isinstance(first, dict) and first[UNTIL] == 2
    searcher.started("t0")
    searcher.on_trial_complete("t0", {PAUSED: True})
    assert watcher.calls == [("started", run), ("reached", run)]
    second = searcher.suggest("t1")
    assert isinstance(second, dict) and UNTIL not in second
    commit(record(run), watcher.ledger.folder(*run))
    searcher.on_trial_complete("t1")
    assert searcher.suggest("t2") == Searcher.FINISHED
    assert watcher.calls[2:] == [("ended", run)]


def test_what_a_trial_occupies_is_known_until_it_has_ended(tmp_path: Path) -> None:
    runs = [Run("huge", 0), Run("tiny", 1)]
    claims = {"huge": Claim(4, 1.0), "tiny": Claim(1, 0.25)}
    watcher = Watcher(Ledger(tmp_path, "s"))
    searcher = LedgerSearcher(
        RunQueue(runs), watcher, watcher.describe, "m:C", at_once=2, claim=lambda run: claims[run.configuration]
    )
    suggestions = [searcher.suggest("t0"), searcher.suggest("t1")]
    assert [one[CLAIM] for one in suggestions if isinstance(one, dict)] == [[4, 1.0], [1, 0.25]]
    assert [*searcher.claims.values()] == [*claims.values()]
    searcher.started("t0")
    searcher.on_trial_complete("t0", error=True)
    assert searcher.claims == {"t1": Claim(1, 0.25)}
    searcher.abandon()
    assert searcher.claims == {}


def test_what_fits_beside_the_claims_of_others() -> None:
    assert fitting(1, 0.0, 4, 0) == 4
    assert fitting(1, 1 / 3, 16, 2, occupied=[Claim(1, 1 / 3)] * 5) == 6
    assert fitting(1, 0.25, 16, 2, occupied=[Claim(8, 1.0)]) == 5
    assert fitting(1, 0.25, 16, 2, most=3, occupied=[Claim(8, 1.0)]) == 3
    assert fitting(1, 0.25, 16, 1, occupied=[Claim(8, 1.0), Claim(8, 1.0)]) == 2  # the second waits
    assert fitting(4, 1.0, 2, 0) == 1


def test_what_got_its_record_meanwhile_is_passed_over(tmp_path: Path) -> None:
    runs = [Run("a", 0), Run("a", 1)]
    searcher, watcher = searcher_of(tmp_path, runs, at_once=1)
    commit(record(runs[0]), watcher.ledger.folder(*runs[0]))
    assert suggested(searcher, "t0") == 1
    assert watcher.calls == [("ended", runs[0])]


def test_what_is_to_be_asked_for_waits_until_there_is_room_for_it(tmp_path: Path) -> None:
    """So that it is asked with as many results known as can be."""
    watcher = Watcher(Ledger(tmp_path, "s"))
    known: list[int] = []
    asked = iter("abc")

    def more() -> list[Run]:
        known.append(len([call for call in watcher.calls if call[0] == "ended"]))
        name = next(asked, "")
        return [Run(name, 0), Run(name, 1)] if name else []

    queue = RunQueue([], retries=1, more=more)
    searcher = LedgerSearcher(
        queue,
        watcher,
        lambda run: {"fold": f"{run.configuration}{run.fold}", "folder": str(tmp_path)},
        "m:C",
        at_once=2,
    )

    def end(trial: str, run: Run) -> None:
        commit(record(run), watcher.ledger.folder(*run))
        searcher.on_trial_complete(trial)

    assert [suggested(searcher, "t0"), suggested(searcher, "t1"), suggested(searcher, "t2")] == ["a0", "a1", None]
    searcher.started("t0")
    searcher.started("t1")
    assert searcher.suggest("t2") is None and known == [0]
    end("t0", Run("a", 0))
    assert suggested(searcher, "t2") == "b0" and known == [0, 1]
    searcher.started("t2")
    assert suggested(searcher, "t3") == "b1"  # waits in the queue, and one may be ahead
    end("t1", Run("a", 1))
    searcher.started("t3")
    assert searcher.suggest("t4") is None and known == [0, 1]
    end("t2", Run("b", 0))
    commit(record(Run("c", 0)), watcher.ledger.folder("c", 0))  # from another sweep
    assert suggested(searcher, "t4") == "c1" and known == [0, 1, 3]
    searcher.started("t4")
    end("t3", Run("b", 1))
    assert searcher.suggest("t5") is None  # the last one may yet die
    end("t4", Run("c", 1))
    assert searcher.suggest("t5") == Searcher.FINISHED
    assert known == [0, 1, 3, 5]


def test_an_attempt_that_a_full_disk_ends_waits_again_and_counts_for_nothing(tmp_path: Path) -> None:
    run = Run("a", 0)
    watcher = Watcher(Ledger(tmp_path, "s"))
    room = Room(tmp_path, reserve=0)
    searcher = LedgerSearcher(RunQueue([run], retries=0), watcher, watcher.describe, "m:C", room=room)
    for trial in ("t0", "t1", "t2"):
        room._until = 0.0  # the while is over
        assert suggested(searcher, trial) == 0
        searcher.on_trial_complete(trial, {NO_ROOM: "last.pt"})
        assert searcher.suggest("t9") is None
    kinds = [call[0] for call in watcher.calls]
    assert kinds == ["returned", "paused", "resumed", "returned", "paused", "resumed", "returned", "paused"]
    assert "last.pt" in watcher.calls[1][1]


def test_a_run_that_was_out_of_memory_has_not_crashed_and_gets_a_process_of_its_own(tmp_path: Path) -> None:
    runs = [Run("a", 0), Run("a", 1)]
    searcher, watcher = searcher_of(tmp_path, runs, at_once=1)
    folder, adjusted = watcher.ledger.folder(*runs[0]), Adjustments()
    folder.mkdir(parents=True)
    fresh = []
    for number in range(4):  # more often than it may crash
        config = searcher.suggest(f"t{number}")
        assert isinstance(config, dict) and json.loads(config["spec"])["fold"] == 0
        fresh.append(config.get(FRESH))
        searcher.started(f"t{number}")
        further = adjusted.with_less_memory(16, "in epoch 1")
        assert further is not None
        adjusted = further
        adjusted.write(folder)
        searcher.on_trial_complete(f"t{number}", error=True)
        assert watcher.calls[-2:] == [("returned", runs[0]), ("adjusted", runs[0], adjusted.notes[-1])]
    assert fresh == [None, "t1", "t2", "t3"], "no two of a kind"
    assert not [call for call in watcher.calls if call[0] == "crashed"]
    config = searcher.suggest("t4")
    searcher.started("t4")
    searcher.on_trial_complete("t4", error=True)
    assert watcher.calls[-1] == ("crashed", runs[0], 1, True), "nothing was changed"
    commit(record(runs[0]), folder)
    config = searcher.suggest("t5")
    assert isinstance(config, dict) and FRESH not in config and json.loads(config["spec"])["fold"] == 1


def test_a_death_after_a_retry_at_a_lower_rate_is_a_crash(tmp_path: Path) -> None:
    run = Run("a", 0)
    searcher, watcher = searcher_of(tmp_path, [run], at_once=1)
    folder = watcher.ledger.folder(*run)
    folder.mkdir(parents=True)
    assert suggested(searcher, "t0") == 0
    Adjustments().at_lower_rate(0.1, 3).write(folder)
    searcher.on_trial_complete("t0", error=True)
    assert watcher.calls == [("crashed", run, 1, True)]
    config = searcher.suggest("t1")
    assert isinstance(config, dict) and FRESH not in config


def test_a_death_with_damaged_adjustments_is_a_crash(tmp_path: Path) -> None:
    run = Run("a", 0)
    searcher, watcher = searcher_of(tmp_path, [run], at_once=1)
    folder = watcher.ledger.folder(*run)
    folder.mkdir(parents=True)
    Adjustments(micro_batch=4, notes=("a note",)).write(folder)
    assert suggested(searcher, "t0") == 0
    (folder / ADJUSTMENTS_FILE).write_text("{")
    with pytest.warns(UserWarning, match="cannot be read"):
        searcher.on_trial_complete("t0", error=True)
    assert watcher.calls == [("crashed", run, 1, True)]


def test_a_run_that_has_to_be_alone_is_suggested_when_nothing_else_is_out(tmp_path: Path) -> None:
    runs = [Run("a", fold) for fold in range(3)]
    searcher, watcher = searcher_of(tmp_path, runs, at_once=2)
    folder = watcher.ledger.folder(*runs[0])
    folder.mkdir(parents=True)
    Adjustments(alone=True, notes=("a note",)).write(folder)
    assert [suggested(searcher, "t0"), suggested(searcher, "t1"), suggested(searcher, "t2")] == [1, 2, None]
    for trial, run in (("t0", runs[1]), ("t1", runs[2])):
        searcher.started(trial)
        assert searcher.suggest("t2") is None
        commit(record(run), watcher.ledger.folder(*run))
        searcher.on_trial_complete(trial)
    config = searcher.suggest("t2")
    assert isinstance(config, dict) and json.loads(config["spec"])["fold"] == 0 and config[FRESH] == "t2"
    searcher.started("t2")
    assert searcher.suggest("t3") is None
    commit(record(runs[0]), folder)
    searcher.on_trial_complete("t2")
    assert searcher.suggest("t3") == Searcher.FINISHED


def test_nothing_is_handed_out_while_the_disk_is_nearly_full_and_a_wish_to_stop_is_heard(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    room = Room(tmp_path, reserve=2 * free)
    watcher, stop = Watcher(Ledger(tmp_path, "s")), [False]

    def check() -> None:
        if stop[0]:
            raise KeyboardInterrupt

    queue = RunQueue([Run("a", 0)])
    searcher = LedgerSearcher(queue, watcher, watcher.describe, "m:C", room=room, check=check)
    assert searcher.suggest("t0") is None and searcher.suggest("t0") is None
    [(kind, reason)] = watcher.calls
    assert kind == "paused" and "MB are free" in reason
    stop[0] = True
    with pytest.raises(KeyboardInterrupt):
        searcher.suggest("t0")
    stop[0], room._reserve, room._asked = False, free // 2, 0.0
    assert suggested(searcher, "t0") == 0
    assert watcher.calls[1:] == [("resumed",)]


def test_what_ran_on_a_lost_cluster_has_crashed_and_what_waited_there_waits_again(tmp_path: Path) -> None:
    runs = [Run("a", fold) for fold in range(4)]
    queue = RunQueue(runs, retries=1)
    watcher = Watcher(Ledger(tmp_path, "s"))
    searcher = LedgerSearcher(queue, watcher, watcher.describe, "m:C", at_once=3)
    assert [suggested(searcher, f"t{fold}") for fold in range(3)] == [0, 1, 2]
    searcher.started("t0")
    searcher.started("t1")
    commit(record(runs[1]), watcher.ledger.folder(*runs[1]))
    watcher.calls.clear()
    searcher.abandon()
    assert watcher.calls == [("crashed", runs[0], 1, True), ("ended", runs[1]), ("returned", runs[2])]
    assert sorted(queue.take() or runs[1] for _ in range(3)) == [runs[0], runs[2], runs[3]]
    assert queue.take() is None


def test_the_pause_after_a_full_disk_doubles_until_a_run_gets_through(tmp_path: Path) -> None:
    room, pauses = Room(tmp_path, reserve=0), []
    for _ in range(9):
        before = time.monotonic()
        room.met("best.pt")
        room.met("last.pt")  # a neighbour, in the same pause
        pauses.append(round(room._until - before))
        assert "last.pt" in room.shortage()
        room._until = 0.0
        assert room.shortage() == ""
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    room.went_well()
    before = time.monotonic()
    room.met("best.pt")
    assert round(room._until - before) == 5

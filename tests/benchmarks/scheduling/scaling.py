"""How busy many slots are kept, and what the searcher itself costs: the real searcher and queue on a virtual clock.

    python tests/benchmarks/scheduling/scaling.py [--configurations 500] [--times results/encoders_folds.csv] [--race]

A run takes its configuration's time, give or take a tenth. Configurations' times are those in a sweep's table, drawn
anew, or else log-normal with a spread as encoders have it (a factor of 2 either way for two in three). What the queue
is told of them beforehand is off by a factor of 1.41 either way for two in three, as operations x cases x epochs were
for twelve encoders on a CPU (--blind: nothing; it then only learns from runs that have ended). Efficiency is
the shortest time that any schedule could take, the work over the slots or the longest run, over the time that it took.
With --race hopeless configurations are stopped, and the bound is of the runs that were done. No schedule reaches it:
the next decision waits for the longest run of a fold, and who is stopped is not known before. Not judged therefore.
Exit code 1 if a figure is out of bounds.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import math
import os
import platform
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from experiments.ledger import Record
from experiments.racing import FoldScores, Marshal, Race
from experiments.scheduling import Run, RunQueue, fold_by_fold
from experiments.scheduling.searcher import LedgerSearcher

EFFICIENCY = {8: 0.95, 64: 0.93, 512: 0.90}
"""Slots -> the least efficiency."""
DECISION_MS = 1.0
GROWTH = 1.5
"""By how much more than n log n the searcher's time may grow: what a timer is worth on a machine with other work."""
CASES = 50


class Records:
    """The observer: a ledger in memory, which tells the race what has ended."""

    def __init__(self, race: Race | None, scores: np.ndarray) -> None:
        self._race, self._scores = race, scores
        self._found: dict[Run, Record] = {}

    def end(self, run: Run, seconds: float) -> None:
        """The worker has written the record."""
        origin = {"code": "", "data": "", "split": "", "seed": 0, "train_seconds": seconds}
        self._found[run] = Record(
            sweep="s", configuration=run.configuration, fold=run.fold, status="complete", **origin
        )

    def find(self, run: Run) -> Record | None:
        return self._found.get(run)

    def ended(self, run: Run, record: Record) -> None:
        if self._race is not None:
            cases = self._scores[int(run.configuration), run.fold]
            self._race.enter(run, FoldScores(float(cases.mean()), cases, np.arange(CASES)))

    def started(self, run: Run) -> None: ...

    def advanced(self, run: Run, epoch: int, epochs: int, objective: float | None) -> None: ...

    def hung(self, run: Run, seconds: float) -> None: ...

    def crashed(self, run: Run, crashes: int, again: bool) -> None: ...

    def returned(self, run: Run) -> None: ...

    def adjusted(self, run: Run, note: str) -> None: ...

    def paused(self, reason: str) -> None: ...

    def resumed(self) -> None: ...


class Clock:
    """A cluster of `slots` on which runs take what `seconds` says; `spent` is the searcher's own time, in earnest."""

    def __init__(self, searcher: LedgerSearcher, records: Records, seconds: dict[Run, float], slots: int) -> None:
        self._searcher, self._records, self._seconds, self._slots = searcher, records, seconds, slots
        self._waiting: deque[str] = deque()
        self._running: list[tuple[float, str]] = []
        self._count = 0
        self.now = self.busy = self.spent = 0.0

    def run(self) -> None:
        """Until the searcher has nothing more."""
        while True:
            self._fill()
            if not self._running:
                return
            self.now, trial = heapq.heappop(self._running)
            run = self._searcher.run_of(trial)
            assert run is not None
            self._records.end(run, self._seconds[run])
            self._timed(self._searcher.on_trial_complete, trial, {})

    def _fill(self) -> None:
        """As Ray Tune does: asks as long as it is answered, and starts what waits as soon as there is room."""
        while True:
            while self._waiting and len(self._running) < self._slots:
                trial = self._waiting.popleft()
                self._timed(self._searcher.started, trial)
                run = self._searcher.run_of(trial)
                assert run is not None
                heapq.heappush(self._running, (self.now + self._seconds[run], trial))
                self.busy += self._seconds[run]
            trial = f"t{self._count}"
            self._count += 1
            if not isinstance(self._timed(self._searcher.suggest, trial), dict):
                return
            self._waiting.append(trial)

    def _timed(self, call: Any, *arguments: Any) -> Any:
        start = time.process_time()  # other processes on the machine are not the searcher
        try:
            return call(*arguments)
        finally:
            self.spent += time.process_time() - start


def simulate(
    configurations: int, folds: int, slots: int, times: np.ndarray, raced: bool, blind: bool
) -> tuple[Clock, float, int]:
    """The clock at the end, the least time that any schedule could have taken, and how many runs there were."""
    rng = np.random.default_rng([configurations, slots])
    own = rng.choice(times, configurations)[:, None] * rng.normal(1, 0.1, (configurations, folds)).clip(0.7, 1.3)
    skill = rng.uniform(0.3, 0.6, configurations)[:, None, None] + rng.normal(0, 0.02, (configurations, folds, 1))
    names = [str(number) for number in range(configurations)]
    race = Race(names, folds) if raced else None
    records = Records(race, skill + rng.normal(0, 0.15, (configurations, folds, CASES)))
    seconds = {Run(name, fold): float(own[row, fold]) for row, name in enumerate(names) for fold in range(folds)}
    guessed = own.mean(axis=1) * rng.lognormal(0, math.log(1.41), configurations)
    work = {} if blind else dict(zip(names, guessed.tolist(), strict=True))
    if race is None:
        queue = RunQueue(fold_by_fold([(name, folds) for name in names]), work=work)
    else:
        marshal = Marshal(race)

        def more() -> list[Run] | None:
            return None if (runs := marshal.more()) is None else [Run(*run) for run in runs]

        queue = RunQueue([], more=more, work=work)
    searcher = LedgerSearcher(
        queue, records, lambda run: {"run": list(run), "folder": f"/nonexistent/{run.fold}"}, "m:C", slots
    )
    clock = Clock(searcher, records, seconds, slots)
    clock.run()
    done = [run for run in seconds if records.find(run) is not None]
    return clock, max(clock.busy / slots, max(seconds[run] for run in done)), len(done)


def times_of(path: Path | None) -> np.ndarray:
    """Seconds of a run, of one configuration each."""
    if path is None:
        return np.random.default_rng(6).lognormal(math.log(300), math.log(2), 1000)
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "complete"]
    own: dict[str, list[float]] = {}
    for row in rows:
        own.setdefault(row["configuration"], []).append(float(row["train_seconds"]))
    return np.array([np.mean(seconds) for seconds in own.values()])


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--configurations", type=int, default=500)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--times", type=Path, default=None, help="a sweep's _folds.csv to take times from")
    parser.add_argument("--race", action="store_true")
    parser.add_argument("--blind", action="store_true")
    options = parser.parse_args()
    times, missed = times_of(options.times), False
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; virtual clock")
    for slots, least in EFFICIENCY.items():
        size = options.configurations, options.folds
        clock, shortest, runs = simulate(*size, slots, times, options.race, options.blind)
        efficiency, each = shortest / clock.now, 1000 * clock.spent / runs
        print(f"  {slots:4} slots: {runs} runs, efficiency {efficiency:.3f}, {each:.3f} ms of the searcher for a run")
        missed |= each > DECISION_MS or (efficiency < least and not (options.race or options.blind))
    spent = {}
    for count in (100, 200, 400, 800, 1600):
        clock, _, runs = simulate(count, options.folds, 64, times, options.race, options.blind)
        spent[runs] = clock.spent
        print(f"  {runs:5} runs, 64 slots: {clock.spent:.3f} s of the searcher")
    (few, short), *_, (many, long) = spent.items()
    growth = (long / short) / (many * math.log(many) / (few * math.log(few)))
    print(f"growth over n log n: {growth:.2f}")
    missed |= growth > GROWTH
    print("out of bounds" if missed else "all within bounds")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

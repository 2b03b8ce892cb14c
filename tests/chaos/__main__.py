"""A sweep under every fault that days may bring, and whether it comes to the same results.

    python -m tests.chaos --minutes 10 --seed 1

A small sweep is run once undisturbed. Then it is run again, and again from nothing as often as it completes, while its
processes are killed, stopped and signalled, its disk is filled and its files are damaged; the command is given again
whenever it has ended. The seed decides which faults come in which order and after how long; what a process is doing at
that moment it does not decide. At the end every sweep is let run to its end, and:

- its leaderboard and its other tables equal the undisturbed ones to the byte, except in what a clock filled in;
- its study says the same of every configuration;
- no finished run has been recorded again, except where its own files were damaged by a fault;
- no run is lost: all have their records and their checkpoints.

Prints every fault with its time and target. Exit code 0 if all of this held, else 1. Only processes that were started
from here are killed. A disk that can be filled is a tmpfs, which takes the right to mount; without it that fault is
left out, and this is said.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.arena import SWEEP, TIMEOUT, Arena, Violation
from tests.chaos.disk import Disk, enter_namespace, small_disk
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.verdict import differences, leftovers, tables_of, trials_of, unsound


class Chaos:
    """The faults, dealt like cards from a shuffled deck: every kind comes before any comes again."""

    def __init__(self, disk: Disk, seed: int, short: bool, seconds: float) -> None:
        self.disk, self.chance = disk, random.Random(seed)
        self.seconds, self.until = seconds, math.inf  # counted from the first training on: starts may take long
        rates = [0.001, 0.0003] if not short else [0.001]
        self.sweep = SWEEP.format(folds=3 if not short else 2, epochs=8, timeout=TIMEOUT, rates=rates)
        self.log: list[tuple[float, str, str]] = []
        self.started = time.monotonic()
        self.deck: list[Fault] = []
        self.expected: dict[str, dict[str, Any]] = {}

    def undisturbed(self) -> None:
        """Runs the sweep once in peace."""
        arena = Arena(self.disk, "undisturbed", self.sweep, self.chance)
        try:
            self._complete(arena)
            self.expected = {"table": tables_of(arena.workspace), "trial": trials_of(arena.workspace)}
        finally:
            arena.close()

    def disturb(self, number: int) -> None:
        """One sweep from nothing to its end, under faults while there is time. Raises Violation."""
        arena = Arena(self.disk, f"sweep-{number}", self.sweep, self.chance)
        try:
            arena.start()
            arena.until_training()
            self.until = min(self.until, time.monotonic() + self.seconds)
            while time.monotonic() < self.until:
                arena.pause(self.chance.uniform(0.2, 3))
                if arena.running and time.monotonic() < self.until:
                    self._apply(arena)
                if not arena.running:
                    if arena.exit_code() == 0:
                        break
                    arena.start()
                    arena.until_training()
            if arena.running:
                arena.command.wait(600)  # type: ignore[union-attr]
            arena.exit_code()
            self._judge(arena)
        finally:
            self.disk.clear()
            arena.close()

    def _apply(self, arena: Arena) -> None:
        """The next faults: one to a sweep that trains, or, once its driver is killed, some to what it has left."""
        fault = self._draw(online=True)
        if self.chance.random() < 0.75:
            self._harm(arena, fault)
            return
        self.deck.append(fault)
        pid = arena.command.process.pid  # type: ignore[union-attr]
        arena.end(signal.SIGKILL)
        self._note("kill -9 driver", f"driver {pid}, before damage to what it left")
        arena.exit_code()
        for _ in range(self.chance.randrange(2, 5)):
            self._harm(arena, self._draw(online=False))

    def _harm(self, arena: Arena, fault: Fault) -> None:
        if (target := fault.harm(arena)) is not None:
            self._note(fault.name, target)
        elif not fault.name.startswith("full disk") or self.disk.own:
            self.deck.append(fault)  # there was nothing to do it to: later

    def _draw(self, online: bool) -> Fault:
        if not any(fault.online == online for fault in self.deck):
            more = [fault for fault in FAULTS if fault.online == online for _ in range(fault.weight)]
            self.chance.shuffle(more)
            self.deck += more
        position = next(index for index, fault in enumerate(self.deck) if fault.online == online)
        return self.deck.pop(position)

    def _note(self, name: str, target: str) -> None:
        seconds = time.monotonic() - self.started
        self.log.append((seconds, name, target))
        print(f"{seconds:7.1f} s  {name:<34} {target}", flush=True)

    def _judge(self, arena: Arena) -> None:
        """Lets the sweep heal what was damaged last, and compares. Raises Violation."""
        self._complete(arena)
        arena.guard()
        before = arena.records()
        self._complete(arena)  # once more: now there must be nothing left to do
        found = {"table": tables_of(arena.workspace), "trial": trials_of(arena.workspace)}
        wrong = [line for what in found for line in differences(self.expected[what], found[what], what)]
        wrong += leftovers(arena.results)
        if arena.records() != before:
            wrong.append("a finished sweep has recorded runs")
        wrong += unsound(arena.results, sorted(arena.damaged))
        if wrong:
            raise Violation("\n".join(wrong))

    def _complete(self, arena: Arena) -> None:
        arena.start().wait(900)
        if arena.exit_code() != 0:
            raise Violation(f"the sweep does not complete:\n{arena.output()}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long faults are injected (default: 10)")
    parser.add_argument("--seed", type=int, help="decides the faults; drawn and printed if not given")
    parser.add_argument("--short", action="store_true", help="a sweep of four runs instead of twelve")
    options = parser.parse_args()
    enter_namespace()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # not without tidying up
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, small_disk(Path(folder) / "disk") as disk:
        where = "a tmpfs, which is filled" if disk.own else "the machine's disk, not filled: nothing may be mounted"
        print(f"seed {seed}, {options.minutes:g} minutes, on {where}", flush=True)
        chaos = Chaos(disk, seed, options.short, 60 * options.minutes)
        chaos.undisturbed()
        print(f"undisturbed: {time.monotonic() - chaos.started:.0f} s", flush=True)
        chaos.started = time.monotonic()
        sweeps, wrong = 0, ""
        try:
            while time.monotonic() < chaos.until:
                sweeps += 1
                chaos.disturb(sweeps)
                print(f"{time.monotonic() - chaos.started:7.1f} s  sweep {sweeps} came to the same results", flush=True)
        except (Violation, AssertionError) as violation:
            wrong = str(violation)
    for name, count in sorted(Counter(name for _, name, _ in chaos.log).items()):
        print(f"{count:4d}  {name}")
    outcome = f"WRONG\n{wrong}" if wrong else "nothing lost, nothing repeated, the same results"
    print(f"{len(chaos.log)} faults in {sweeps} sweeps, seed {seed}: {outcome}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

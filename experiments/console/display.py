"""What a user sees while a sweep runs: a live table in a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.leaderboard import Standing

_PLAIN_INTERVAL = 30.0


@dataclass
class RunningRun:
    """A run in progress. objective: of its last finished epoch."""

    name: str
    fold: int
    epoch: int = 0
    epochs: int = 0
    objective: float | None = None


class Display:
    """Progress of a sweep. In a terminal it redraws one block; elsewhere it prints a line per event.

    Times come from the runs that this process has seen end; the ETA assumes that the rest are like them.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._live: Live | None = None
        self._started = time.monotonic()
        self._running: dict[object, RunningRun] = {}
        self._seconds: list[float] = []
        self._began: dict[object, float] = {}
        self._stage, self._stage_shown = "", 0.0
        self.title, self.metric = "", ""
        self.total = self.done = self.failed = 0
        self._standings: Callable[[], Sequence[Standing]] = tuple

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, name: str, done: int, total: int) -> None:
        """Progress of a preparation, such as the audit: rewritten in place, or printed every half minute."""
        now = time.monotonic()
        if name != self._stage:
            self._stage, self._stage_shown = name, now
        self.title = f"{name}: {done} of {total}"
        if self._live is None and (done == total or now - self._stage_shown > _PLAIN_INTERVAL):
            self._stage_shown = now
            self.say(self.title)

    def begin(
        self, title: str, metric: str, total: int, done: int, standings: Callable[[], Sequence[Standing]]
    ) -> None:
        """The runs begin: `done` of `total` are in the ledger already."""
        self.title, self.metric, self.total, self.done, self._standings = title, metric, total, done, standings
        self._started = time.monotonic()
        self.say(f"{title}: {total} runs, {done} done already")

    def started(self, run: object, name: str, fold: int) -> None:
        """A worker has taken a run."""
        self._running[run] = RunningRun(name, fold)
        self._began[run] = time.monotonic()

    def advanced(self, run: object, epoch: int, epochs: int, objective: float | None) -> None:
        """A run has finished an epoch."""
        if (running := self._running.get(run)) is not None:
            running.epoch, running.epochs, running.objective = epoch, epochs, objective

    def gone(self, run: object) -> None:
        """A run's worker died: it is running no more."""
        self._began.pop(run, None)
        self._running.pop(run, None)

    def ended(self, run: object, name: str, fold: int, outcome: str, failed: bool) -> None:
        """A run has its record; `outcome` is its score or the reason of its failure."""
        began = self._began.get(run)
        if began is not None and not failed:
            self._seconds.append(time.monotonic() - began)
        self.gone(run)
        self.done += 1
        self.failed += failed
        if self._live is None or failed:
            eta = self.eta()
            left = f", about {duration(eta)} left" if eta is not None and self.done < self.total else ""
            self.say(f"[{self.done}/{self.total}] {name}, fold {fold}: {outcome}{left}")

    def eta(self) -> float | None:
        """Seconds until the last run ends; None before one has ended."""
        if not self._seconds:
            return None
        slots = max(1, len(self._running))
        per_run = sum(self._seconds) / len(self._seconds)
        now = time.monotonic()
        # Copied: the live table asks from its own thread while runs come and go in the main one.
        spent = sum(min(now - began, per_run) for began in list(self._began.values()))
        return max(0.0, (self.total - self.done) * per_run - spent) / slots

    def _render(self) -> RenderableType:
        if not self.total:
            return Text(self.title)
        return Group(self._summary(), self._runs_table(), *self._standings_table())

    def _summary(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        eta = self.eta()
        parts = [f"{self.done}/{self.total} runs", f"elapsed {duration(time.monotonic() - self._started)}"]
        parts.append("ETA after the first run" if eta is None else f"ETA {duration(eta)}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        bar = ProgressBar(total=max(self.total, 1), completed=self.done, width=30)
        grid.add_row(Text(self.title, style="bold"), bar, Text("  ".join(parts)))
        return grid

    def _runs_table(self) -> Table:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for column in ("running", "fold", "epoch", f"validation {self.metric}"):
            table.add_column(column)
        for running in list(self._running.values()):
            epoch = f"{running.epoch}/{running.epochs}" if running.epochs else "starting"
            score = "" if running.objective is None else f"{running.objective:.4f}"
            table.add_row(Text(running.name), str(running.fold), epoch, score)
        return table

    def _standings_table(self) -> Iterable[Table]:
        standings = self._standings()
        if standings:
            yield standings_table(standings, self.metric)


def standings_table(standings: Sequence[Standing], metric: str) -> Table:
    """The top of the leaderboard. A configuration without a rank lacks folds; ``=`` marks a tie with the best."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("rank", "configuration", "folds", f"test {metric}", ""):
        table.add_column(column, overflow="fold")  # cut short, names that differ at their end look the same
    for standing in standings:
        tied = "tied with best" if standing.tied and standing.rank != "1" else ""
        table.add_row(standing.rank or "-", Text(standing.name), standing.folds, standing.score, tied)
    return table


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``42 s``, ``7 min``, ``3 h 20 min``."""
    if round(seconds) < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def shown(path: Path) -> str:
    """A path as a person would type it: relative to where the command is run, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

"""How far a folder of images is: a bar in a terminal, a line every half minute in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.console.display import duration

_PLAIN_INTERVAL = 30.0


class FolderProgress:
    """Counts images. The time left assumes that the rest are like those that were predicted now."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done = self._new = 0
        self._started = self._shown = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("ETA"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._task = self._bar.add_task("Predicting", total=total)

    def __enter__(self) -> FolderProgress:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:  # a bar that was never started would print an empty line
            self._bar.stop()

    def advance(self, new: bool) -> None:
        """One more image. new: whether it was predicted now, and not found done."""
        self._done += 1
        self._new += new
        self._bar.advance(self._task)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._shown > _PLAIN_INTERVAL and self._done < self._total:
            self._shown = now
            left = (self._total - self._done) * (now - self._started) / max(1, self._new)
            self._console.print(
                f"Predicting: {self._done} of {self._total}, about {duration(left)} left", soft_wrap=True
            )

"""TensorBoard: a folder of event files for each run, which ``tensorboard --logdir results/tensorboard`` shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from experiments.tracking.tracker import TRACKERS, TrackedRun, TrackedSweep, check_installed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_UNFINISHED = ".part"


@TRACKERS.register("tensorboard")
class TensorBoard:
    """folder: where the event files lie; ``tensorboard`` among the results where it is left out."""

    package: ClassVar[str] = "tensorboard"

    def __init__(self, *, folder: Annotated[str, Field(min_length=1)] | None = None) -> None:
        check_installed("tensorboard", self, "tensorboard")
        self._folder = folder
        self._root = Path()

    def open(self, sweep: str, results: Path) -> None:
        """The folder of a sweep; what was broken off in it goes."""
        self._root = (results / "tensorboard" if self._folder is None else Path(self._folder)) / sweep
        for path in self._root.glob(f"*/*{_UNFINISHED}"):
            shutil.rmtree(path)

    def known(self) -> set[str]:
        """A folder gets its identity as its name when all is in it."""
        return {path.name for path in self._root.glob("*/*") if path.is_dir() and path.suffix != _UNFINISHED}

    def write(self, run: TrackedRun) -> None:
        """Curves of the epochs, final metrics, settings as text."""

        def write(writer: SummaryWriter) -> None:
            for row in run.epochs():
                for name, value in row.items():
                    if name != "epoch":
                        writer.add_scalar(name, value, int(row["epoch"]))
            for name, value in run.metrics.items():
                writer.add_scalar(f"final/{name}", value, run.record.epochs)
            writer.add_text("settings", _as_table({**run.parameters, **run.facts}))

        self._put(f"{allowed_folder(run.name)}-{run.record.configuration}-fold-{run.record.fold}", run.identity, write)

    def conclude(self, sweep: TrackedSweep) -> None:
        """The winner's metrics and the figures; its networks stay in the ledger, whose paths are told."""
        from utils.images.reading import read_image

        def write(writer: SummaryWriter) -> None:
            for name, value in sweep.metrics.items():
                writer.add_scalar(f"winner/{name}", value)
            for name, path in sweep.files.items():
                if path.suffix == ".png":
                    image = read_image(path)
                    writer.add_image(name, image, dataformats="HW" if image.ndim == 2 else "HWC")
            files = {name: str(path) for name, path in sweep.files.items()}
            writer.add_text("winner", _as_table({"question": sweep.question, "winner": sweep.winner, **files}))

        self._put("leaderboard", sweep.identity, write)

    def _put(self, place: str, identity: str, write: Callable[[SummaryWriter], None]) -> None:
        """Writes event files beside their place and renames their folder into it, where it is the only one."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self._root / place / identity
        partial = folder.with_name(folder.name + _UNFINISHED)
        with SummaryWriter(log_dir=str(partial)) as writer:
            write(writer)
        for old in folder.parent.iterdir():
            if old != partial:
                shutil.rmtree(old)
        partial.rename(folder)


def allowed_folder(name: str) -> str:
    """A configuration's name as one of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[:60].lstrip(".") or "run"


def _as_table(values: dict[str, Any]) -> str:
    """Markdown, which TensorBoard renders."""
    rows = [f"| {key} | {str(value).replace('|', '/')} |" for key, value in values.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])

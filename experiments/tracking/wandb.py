"""Weights & Biases: a project for each sweep, a run in it for each of its runs, and one for what it has come to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from experiments.tracking.tracker import TRACKERS, TrackedRun, TrackedSweep, allowed, check_installed
from utils.files import write_text_atomically

_DONE = ".done"


@TRACKERS.register("wandb")
class Wandb:
    """Log in with ``wandb login``, or keep everything here: ``tracking: {wandb: {mode: offline}}``.

    entity: whose project it is; your own where it is left out. project: its name, that of the sweep where it is left
    out. mode: offline writes files under ``results/wandb``, which ``wandb sync`` uploads later; auto is as the
    environment variable WANDB_MODE says.
    """

    package: ClassVar[str] = "wandb"

    def __init__(
        self,
        *,
        entity: Annotated[str, Field(min_length=1)] | None = None,
        project: Annotated[str, Field(min_length=1)] | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
    ) -> None:
        check_installed("wandb", self, "wandb")
        self._entity, self._project, self._mode = entity, project, mode
        self._sweep, self._results = "", Path()

    def open(self, sweep: str, results: Path) -> None:
        """The folder of the files, and of the notes of what was written."""
        self._sweep, self._results = sweep, results
        self._notes.mkdir(parents=True, exist_ok=True)

    def known(self) -> set[str]:
        """Noted beside the files: what is offline nobody else knows of."""
        return {path.stem for path in self._notes.glob(f"*{_DONE}")}

    def write(self, run: TrackedRun) -> None:
        """Settings, curves and final metrics of a run."""
        with self._begin(run.identity, run.title, {**run.parameters, **run.facts}, "run") as opened:
            for row in run.epochs():
                opened.log(row, step=int(row["epoch"]))
            opened.summary.update(run.metrics)
        self._note(run.identity)

    def conclude(self, sweep: TrackedSweep) -> None:
        """The winner's metrics; leaderboard, figures and the winner's networks as artifacts."""
        import wandb

        facts = {"question": sweep.question, "winner": sweep.winner}
        with self._begin(sweep.identity, f"leaderboard: {sweep.winner}", facts, "leaderboard") as opened:
            pictures = {name: wandb.Image(str(path)) for name, path in sweep.files.items() if path.suffix == ".png"}
            opened.log({**pictures, **sweep.metrics})
            artifact = wandb.Artifact(allowed(sweep.name).replace("/", "_"), type="results")
            for name, path in sweep.files.items():
                artifact.add_file(str(path), name=name)
            opened.log_artifact(artifact)
        self._note(sweep.identity)

    @property
    def _notes(self) -> Path:
        return self._results / "wandb" / "tracked" / self._sweep

    def _note(self, identity: str) -> None:
        write_text_atomically(self._notes / f"{identity}{_DONE}", time.strftime("%Y-%m-%dT%H:%M:%S\n"))

    def _begin(self, identity: str, title: str, config: dict[str, Any], kind: str) -> Any:
        """A run of the identity's name: on a server what was broken off is gone on with, and steps count once."""
        import wandb

        return wandb.init(
            entity=self._entity,
            project=self._project or self._sweep,
            id=identity,
            name=title[:128],
            config=config,
            job_type=kind,
            dir=str(self._results),
            mode=None if self._mode == "auto" else self._mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )

"""MLflow: an experiment for each sweep, a run in it for each of its runs, and one for what it has come to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from experiments.tracking.tracker import TRACKERS, TrackedRun, TrackedSweep, check_installed

if TYPE_CHECKING:
    from mlflow import MlflowClient

IDENTITY = "sweep.identity"
PLACE = "sweep.place"
_LEADERBOARD = "leaderboard"
# What MLflow's servers take at once, and how long a parameter may be.
_METRICS_AT_ONCE, _PARAMETERS_AT_ONCE, _LONGEST = 1000, 100, 500


@TRACKERS.register("mlflow")
class Mlflow:
    """uri: of the tracking server, ``http://127.0.0.1:5000``, or of a database, ``sqlite:///mlflow.db``; where it is
    left out, that of the environment variable MLFLOW_TRACKING_URI, or else ``mlflow.db`` among the results."""

    package: ClassVar[str] = "mlflow"

    def __init__(self, *, uri: Annotated[str, Field(min_length=1)] | None = None) -> None:
        check_installed("mlflow", self, "mlflow")
        self._uri = uri
        self._client: MlflowClient
        self._experiment = ""

    def open(self, sweep: str, results: Path) -> None:
        """The experiment of a sweep, made where there is none."""
        # MLflow's own five minutes of patience are a long time for a driver to end.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow import MlflowClient

        here = f"sqlite:///{results / 'mlflow.db'}"
        uri = self._uri or os.environ.get("MLFLOW_TRACKING_URI") or here
        self._client = MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(sweep)
        # Beside a database of ours the files would otherwise lie where the command is given.
        artifacts = (results / "mlflow").as_uri() if uri == here else None
        self._experiment = (
            self._client.create_experiment(sweep, artifact_location=artifacts) if found is None else found.experiment_id
        )

    def known(self) -> set[str]:
        """The identities of the runs that were closed."""
        return {run.data.tags[IDENTITY] for run in self._runs() if run.info.status != "RUNNING"}

    def write(self, run: TrackedRun) -> None:
        """Settings, curves and final metrics of a run."""
        record = run.record
        rows = [
            (name, value, int(row["epoch"])) for row in run.epochs() for name, value in row.items() if name != "epoch"
        ]
        rows += [(name, value, record.epochs) for name, value in run.metrics.items()]
        place = f"{record.configuration}/fold-{record.fold}"
        opened = self._begin(place, run.identity, run.title, run.facts)
        self._log(opened, rows, run.parameters)
        self._client.set_terminated(opened, "FINISHED" if record.status == "complete" else "FAILED")

    def conclude(self, sweep: TrackedSweep) -> None:
        """The winner's metrics; leaderboard, figures and the winner's networks as artifacts."""
        facts = {"question": sweep.question, "winner": sweep.winner}
        opened = self._begin(_LEADERBOARD, sweep.identity, f"leaderboard: {sweep.winner}", facts)
        self._log(opened, [(name, value, 0) for name, value in sweep.metrics.items()], {"winner": sweep.winner})
        for name, path in sweep.files.items():
            self._client.log_artifact(opened, str(path), str(Path(name).parent) if "/" in name else None)
        self._client.set_terminated(opened)

    def _begin(self, place: str, identity: str, title: str, facts: Mapping[str, str]) -> str:
        """A new run in place of any other of the same place: broken off, or of a run that was repeated."""
        for old in self._runs(place):
            self._client.delete_run(old.info.run_id)
        tags = {f"sweep.{key}": value[:_LONGEST] for key, value in facts.items() if value}
        tags |= {IDENTITY: identity, PLACE: place}
        return str(self._client.create_run(self._experiment, run_name=title[:250], tags=tags).info.run_id)

    def _log(self, opened: str, rows: list[tuple[str, float, int]], parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in rows]
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(opened, metrics=metrics[start : start + _METRICS_AT_ONCE])
        params = [Param(name, str(value)[:_LONGEST]) for name, value in parameters.items()]
        for start in range(0, len(params), _PARAMETERS_AT_ONCE):
            self._client.log_batch(opened, params=params[start : start + _PARAMETERS_AT_ONCE])

    def _runs(self, place: str = "") -> list[Any]:
        """Those of ours that are not deleted; of one place, or of all."""
        wanted = f"tags.`{PLACE}` = '{place}'" if place else f"tags.`{IDENTITY}` != ''"
        found, token = [], None
        while True:
            page = self._client.search_runs([self._experiment], wanted, max_results=1000, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return found

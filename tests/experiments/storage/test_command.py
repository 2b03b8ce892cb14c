"""The whole command with a store: machines without a shared folder, and a driver whose disk is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from experiments.storage.lease import StoreLease
from experiments.storage.provisions import FOLDER_VARIABLE
from experiments.storage.store import Store
from experiments.sweep import load_sweep
from utils.errors import UserError

SWEEP = """\
name: travelling
dataset: {name: phantom, image_size: 32, options: {cases: 30, height: 64, width: 64}}
folds: {k: 2}
model: {encoder_weights: none, encoder: tu-mobilenetv3_small_050}
training: {epochs: 2, batch_size: 8}
resources: {cpus: 1, gpus: 0}
search: {cases: [{name: sound}, {name: diverging, training.segmentation_loss: {dice: 1.0e+39, bce: 1.0e+39}}]}
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that runs nothing; nodes are added by the test."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_sweep_on_machines_that_share_nothing_but_a_store(
    workspace_in: Callable[..., Any], tmp_path: Path, cluster: Cluster
) -> None:
    machines = [tmp_path / "first", tmp_path / "second"]
    for machine in machines:
        cluster.add_node(num_cpus=1, env_vars={FOLDER_VARIABLE: str(machine)})
    workspace = workspace_in(tmp_path, SWEEP)
    url = (tmp_path / "store").as_uri()
    command = ["--no-report", "--address", cluster.address, "--set", f"resources.storage={url}"]
    assert "2 of 4 runs complete, 2 failed" in workspace.run(*command, code=1)
    records, tables = contents(workspace), workspace.tables()
    assert len(records) == 4
    executed = [path.parent.relative_to(one) for one in machines for path in one.glob("runs/*/*/*/run.lock")]
    assert len(executed) == len(set(executed)) == 4, "every run on one machine"
    assert not workspace.runs("run.lock"), "and none on the driver's"
    assert set(workspace.runs("best.pt")) >= {run for run, record in records.items() if b'"complete"' in record}

    with StoreLease(Store(url), "travelling", beat=0.1):
        refusal = workspace.run(*command, code=2)
    assert f"process {os.getpid()} on " in refusal and "resources.storage" in refusal
    assert contents(workspace) == records

    shutil.rmtree(workspace.results)
    assert "2 of 4 runs complete" in workspace.run(*command, code=1)
    assert contents(workspace) == records and workspace.tables() == tables

    # What has failed is repeated from its first epoch, and fails again; nothing else is.
    workspace.run(*command, "--retry-failed", code=1)
    again = {run for run, record in contents(workspace).items() if record != records[run]}
    assert again == {run for run, record in records.items() if b'"failed"' in record} and len(again) == 2
    assert set(workspace.attempts().values()) == {1}


def contents(workspace: Any) -> dict[str, bytes]:
    """Run -> its record."""
    return {run: record for run, (_, _, record) in workspace.records().items()}


@pytest.mark.parametrize("url", ["bucket/sweeps", "s3://", "file://mnt/x", "s3://a bucket/x", "://x", ""])
def test_what_is_no_url_of_a_store_is_refused_with_the_sweep_file(tmp_path: Path, url: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    with pytest.raises(UserError) as caught:
        load_sweep(file, [f"resources.storage='{url}'"])
    [problem] = caught.value.problems
    assert problem.where == "resources.storage" and "s3://bucket/sweeps" in problem.message


def test_where_results_travel_is_no_part_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    sweep = load_sweep(file, ["resources.storage=s3://bucket/sweeps"])
    assert sweep.resources.storage == "s3://bucket/sweeps"
    assert "s3://" not in str(sweep.configurations)

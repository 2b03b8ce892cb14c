"""A sweep on a cluster that is joined: ``python joined.py ADDRESS FOLDER PATIENCE``; says what became of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from experiments.scheduling import Run, RunQueue
from experiments.scheduling.cluster import Cluster, on_cluster
from tests.experiments.scheduling.test_cluster import Sweep
from utils.errors import UserError


def main(address: str, folder: Path, patience: float) -> None:
    """Prints a line when the cluster is lost and has been left; at the end which runs ended, how many clusters that
    took, and the error that ended it, if any.
    """
    sweep = Sweep(folder, [Run("a", 0), Run("held", 0), Run("b", 0)])
    queue, clusters = RunQueue(sweep.runs, retries=2), []

    def work(cluster: Cluster) -> None:
        clusters.append(cluster)
        sweep.execute("Epochs", queue=queue, cluster=cluster, module="machines")

    error = ""
    try:
        on_cluster(work, address, None, lambda reason: print(f"lost: {reason}", flush=True), patience)
    except UserError as caught:
        error = str(caught)
    print(json.dumps({"ended": sweep.of("ended"), "clusters": len(clusters), "error": error}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))

"""A sweep whose Ray is killed under it once: ``python survivor.py raylet|gcs_server head|'' FOLDER``."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from experiments.scheduling.head import Head


def main(part: str, with_head: bool, folder: Path) -> None:
    """Prints what was lost, which runs ended, and on how many clusters."""
    with ExitStack() as stack:
        head = stack.enter_context(Head()) if with_head else None
        # Ray must not be imported before there is a head.
        from experiments.scheduling import Run, RunQueue
        from experiments.scheduling.cluster import Cluster, on_cluster
        from tests.experiments.scheduling.test_cluster import Sweep

        sweep = Sweep(folder, [Run("a", 0), Run("b", 0), Run("c", 0)])
        queue, clusters, lost = RunQueue(sweep.runs, retries=1), [], []
        killed: list[int] = []

        def kill() -> None:
            """A while after a run has come under way, from a thread of its own."""
            while not sweep.of("advanced"):
                time.sleep(0.1)
            time.sleep(1.5)
            for process in psutil.Process().children(recursive=True):
                # Ray's helpers come and go: one that is gone by now is none to kill.
                with suppress(psutil.NoSuchProcess):
                    if f"/{part} " in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)

        threading.Thread(target=kill, daemon=True).start()

        def work(cluster: Cluster) -> None:
            clusters.append(cluster)
            sweep.execute("Quick" if killed else "Endless", queue=queue, cluster=cluster)

        on_cluster(work, None, head, lost.append)
        print(json.dumps({"lost": lost, "ended": sweep.of("ended"), "clusters": len(clusters)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "head", Path(sys.argv[3]))

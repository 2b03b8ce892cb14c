"""Which run next, and on what: our queue of runs, executed by Ray Tune."""

from experiments.scheduling.queue import Run, RunQueue, fold_by_fold

__all__ = ["Run", "RunQueue", "fold_by_fold"]

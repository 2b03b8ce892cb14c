"""The runs of one command: in which order they are wanted, and what each of them occupies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from experiments.agenda.packing import Packing
from experiments.agenda.promise import ByPromise
from experiments.agenda.spending import Spending
from experiments.estimates import Durations, Peaks, measured_peaks, seconds_of
from experiments.ledger import Record
from experiments.preflight.slot import Claim
from experiments.racing import Marshal
from experiments.scheduling import Run, RunQueue
from experiments.training.adjustments import Adjustments
from experiments.workload import Workload

_UNPACKED = Claim(1, 0.0)


class Agenda:
    """What is left of a workload, for the scheduling.

    A race hands out its runs itself, a search draws them whole, one configuration after the other; all others come
    longest first, fold by fold, or by promise where there is a budget. A budget refuses runs of any of these.

    draw: the runs of the next configuration of the search. gpu_memory: bytes of the smallest GPU, 0 without one.
    """

    def __init__(
        self, workload: Workload, missing: Sequence[Run], draw: Callable[[], list[Run]], gpu_memory: int
    ) -> None:
        self._workload, self._draw, self._gpu_memory = workload, draw, gpu_memory
        self.packing: Packing | None = None
        """None until the cluster is known, when `pack` is called."""
        budget = workload.sweep.search.budget
        allowance = Spending(budget, Durations(workload.work), self._weight) if budget.limited else None
        self.spending = allowance
        runs, more = self._order(missing)
        # A search draws its next configuration from whole ones: its runs keep their order.
        work = None if workload.search is not None else {one: workload.work(one) for one in workload.planned}
        self.queue = RunQueue(runs, workload.sweep.resources.retries, more, work, allowance)
        for run, record in workload.records().items():
            if allowance is not None:
                allowance.past(seconds_of(record), record.gpus or 1.0)
            self.queue.ended(Run(*run), seconds_of(record))

    def _order(self, missing: Sequence[Run]) -> tuple[Sequence[Run], Callable[[], Sequence[Run] | None] | None]:
        """The runs to begin with, and where more come from."""
        workload = self._workload
        if workload.search is not None:
            return missing, self._drawn
        if (field := workload.field) is not None:
            return [], partial(_raced, field.marshal)
        budget, objective = workload.sweep.search.budget, workload.sweep.objective
        if not budget.limited:
            return missing, None
        order = ByPromise(missing, objective.mode, patient=budget.hours is None)

        def hear(run: Run, record: Record) -> None:
            order.learn(run, record.metrics.get(objective.metric), record.status == "failed")

        for run, record in workload.records().items():
            hear(Run(*run), record)
        workload.heard.append(hear)
        return [], order.more

    def pack(self, cores: float, gpus: float) -> Packing:
        """Settles what runs occupy on so many CPU cores and GPUs. Raises UserError if they have not got them."""
        workload = self._workload
        resources = workload.sweep.resources
        packed = gpus > 0 and resources.gpus == "auto"
        earlier: Mapping[str, int] = measured_peaks(workload.results) if packed else {}
        peaks = Peaks(workload.planned, workload.peak, workload.ledger.get, earlier)
        self.packing = Packing(resources, cores, gpus, self._gpu_memory, peaks.of, self._cramped)
        return self.packing

    def claim(self, run: Run) -> Claim:
        """What a run occupies if it begins now."""
        return _UNPACKED if self.packing is None else self.packing.of(run)

    def _weight(self, run: Run) -> float:
        return self.claim(run).gpus or 1.0

    def _cramped(self, run: Run) -> bool:
        return not Adjustments.read(self._workload.ledger.folder(*run)).none_for_memory

    def _drawn(self) -> list[Run]:
        """Nothing more is drawn when the budget has refused what was."""
        return [] if self.spending is not None and self.spending.refused else self._draw()


def _raced(marshal: Marshal) -> list[Run] | None:
    runs = marshal.more()
    return None if runs is None else [Run(*run) for run in runs]

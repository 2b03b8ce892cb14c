"""From a spec to a committed record: what a worker does with a run, epoch by epoch."""

from __future__ import annotations

import contextlib
import functools
import math
import platform
import time
import traceback
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from experiments.ledger.lock import RunLock
from experiments.ledger.record import CHECKPOINT, TABLES, Record, RecordError, commit, read, seal
from experiments.sweep import Settings
from experiments.training.adjustments import AT_START, IN_TEST, Adjustments, OutOfMemoryError
from experiments.training.checkpoint import BEST, LAST, PREVIOUS
from experiments.training.evaluation import SNAPSHOTS, cases_csv, inference_milliseconds
from experiments.training.history.clock import PhaseClock
from experiments.training.history.epoch import write_epochs
from experiments.training.memory import give_back_memory, memory_at_rest, out_of_memory, too_few_cases
from experiments.training.network import network_cost
from experiments.training.run import DivergedError, TrainingRun, device_of
from experiments.training.spec import RunSpec
from models.cost import Cost, cost_of
from utils.faults import interruption_behind
from utils.files import disk_full, write_text_atomically
from utils.images.cache import ImageCache
from utils.splits.folds import Split
from utils.splits.table import read_split_table


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step: epochs done and planned, the last objective, and whether it has ended."""

    epoch: int
    epochs: int
    objective: float | None
    ended: bool


class Execution:
    """One attempt at a run. `step` until `Progress.ended`; then its record is on disk.

    A run that has a record already ends at once, without training: a result is recorded exactly once.
    An exception in training ends the run as failed, with its reason in the record and its traceback in
    ``error.txt``. Without a record an attempt ends by the end of the process, on a full disk, and by
    OutOfMemoryError as long as the run could do with less memory: then the next attempt wants a fresh process.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self._lock = RunLock(spec.folder)
        self._run: TrainingRun | None = None
        self._started, self._started_over = _now(), False
        self._clock = PhaseClock()
        if spec.taken is not None:
            self._clock.add({"start_up": time.perf_counter() - spec.taken})

    def step(self) -> Progress:
        """Trains one epoch, or evaluates and commits after the last."""
        with self._clock.phase("writing"):
            return self._step()

    def _step(self) -> Progress:
        if self._run is None:
            self._lock.acquire()
        try:
            if self._run is None:
                if self._recorded():
                    return self._ended()
                self._run = self._begin()
            if not self._run.done:
                epoch = self._run.step()
                write_epochs(self._run.history, self._table)
                if not self._run.done:
                    return Progress(epoch.epoch, self._run.settings.training.epochs, epoch.objective, ended=False)
            try:
                self._run.load_best()
            except FileNotFoundError as error:
                return self._start_over(error)
            self._finish(self._run)
        except Exception as error:
            if interruption := interruption_behind(error):
                raise interruption from None
            if disk_full(error):
                raise  # not the run's fault: it goes on when there is room
            if isinstance(error, DivergedError) and (again := self._slower()):
                return again
            traceback.clear_frames(error.__traceback__)  # they hold the tensors that fill the memory
            if out_of_memory(error) or too_few_cases(error):
                self._leave_for_less_memory(error)
            self._fail(error)
        return self._ended()

    def close(self) -> None:
        """Keeps what is not on disk yet, gives the run's lock back and lets go of the network; safe to call twice."""
        if self._run is not None:
            try:
                self._run.keep()
            except OSError as error:  # a full disk, say: the next attempt repeats an epoch or a few
                warnings.warn(f"{self.spec.folder}: the last epochs are not kept ({error})", stacklevel=2)
        self._let_go()

    def _let_go(self) -> None:
        self._run = None
        self._lock.release()
        give_back_memory()

    def _recorded(self) -> bool:
        try:
            return read(self.spec.folder) is not None
        except RecordError:
            return False  # the driver sets damaged records aside before it schedules a run

    def _begin(self) -> TrainingRun:
        """Opens the data and builds the network; notes the attempt in ``attempts.csv``."""
        memory_at_rest()
        with self._clock.phase("start_up"):
            split, groups = _read_split(self.spec.split_file)
            cache, fold = _open_cache(self.spec.cache), split.folds[self.spec.fold]
            run = TrainingRun(self.spec, cache, fold, groups, self._clock)
        attempts = self.spec.folder / "attempts.csv"
        with attempts.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write("started,host,first_epoch\n")
            file.write(f"{self._started},{platform.node()},{len(run.history) + 1}\n")
        if run.history:
            write_epochs(run.history, self._table)  # killed just after last.pt, the earlier attempt may lack a row
        return run

    def _start_over(self, error: FileNotFoundError) -> Progress:
        """From the first epoch, since the best checkpoint was lost or damaged after it was written; once is enough."""
        if self._started_over:
            raise error
        self._started_over = True
        warnings.warn(f"{error}; starting over", stacklevel=2)
        (self.spec.folder / LAST).unlink(missing_ok=True)
        self._run = self._begin()
        return Progress(0, self._run.settings.training.epochs, None, ended=False)

    def _slower(self) -> Progress | None:
        """From the first epoch at a tenth of the learning rate, once, where the settings say so."""
        assert self._run is not None, "nothing has diverged before the run began"
        run, training = self._run, self._run.settings.training
        if not training.retry_diverged or run.adjusted.lr is not None:
            return None
        run.adjusted.at_lower_rate(training.lr, len(run.history) + 1).write(self.spec.folder)
        for name in (LAST, BEST, PREVIOUS, "epochs.csv", SNAPSHOTS):
            (self.spec.folder / name).unlink(missing_ok=True)
        self._let_go()
        return Progress(0, training.epochs, None, ended=False)

    def _leave_for_less_memory(self, error: Exception) -> None:
        """Raises OutOfMemoryError where the run may yet fit in another way, which is noted for the next attempt."""
        adjusted, settings = Adjustments.read(self.spec.folder), Settings.model_validate(self.spec.settings)
        batch_size = settings.training.batch_size
        further: Adjustments | None
        if out_of_memory(error) and self.spec.packed and not adjusted.own_gpu:
            further = adjusted.with_own_gpu(self._when())
        elif out_of_memory(error):
            further = adjusted.with_less_memory(batch_size, self._when())
        elif adjusted.micro_batch == 1:
            further = adjusted.with_two_cases(batch_size)
        else:
            return  # the batch is of one case itself
        if further is not None:
            further.write(self.spec.folder)
            self._let_go()
            raise OutOfMemoryError(further.notes[-1]) from None

    def _when(self) -> str:
        """Where a run that has met an error was."""
        if self._run is None:
            return AT_START
        return IN_TEST if self._run.done else f"in epoch {len(self._run.history) + 1}"

    def _ended(self) -> Progress:
        epochs = len(self._run.history) if self._run else 0
        objective = self._run.history[-1].objective if self._run and self._run.history else None
        self._let_go()
        return Progress(epochs, epochs, objective, ended=True)

    def _finish(self, run: TrainingRun) -> None:
        """Evaluates the best checkpoint, which is in the network, on the test part and commits the record."""
        evaluation = run.test()
        write_text_atomically(self.spec.folder / "cases.csv", cases_csv(evaluation, run.cache, run.groups))
        peak = run.peak_memory.mebibytes()
        with self._clock.phase("testing"):
            cost = self._cost(run)
            inference_ms = inference_milliseconds(run.network, run.test_batches, run.device)
        record = Record(
            **self._identity(),
            status="complete",
            metrics={name: None if math.isnan(value) else value for name, value in evaluation.metrics.items()},
            validation=run.best[0] if run.best else None,
            best_epoch=run.best[1] if run.best else len(run.history),
            epochs=len(run.history),
            params_millions=cost.params_millions,
            gflops=cost.gflops,
            train_seconds=run.seconds,
            spent=self._clock.spent(),
            inference_ms=inference_ms,
            peak_memory_mb=peak,
            adjustments=tuple(run.adjustments),
            files={name: seal(self.spec.folder / name) for name in (*TABLES, CHECKPOINT)},
            finished=_now(),
        )
        commit(record, self.spec.folder)
        # A finished run has nothing to resume; its optimizer state is two thirds of the disk it takes.
        with contextlib.suppress(OSError):  # the record stands; it must not be overwritten by a failure to tidy up
            (self.spec.folder / LAST).unlink()

    def _cost(self, run: TrainingRun) -> Cost:
        """What the network costs; counting takes longer than a step, and another fold may have done it already."""
        for folder in sorted(self.spec.folder.parent.glob("fold-*")):
            with contextlib.suppress(RecordError):  # the driver sees to damaged ones
                known = read(folder)
                if known is not None and known.configuration == self.spec.configuration and known.gflops is not None:
                    return Cost(known.params_millions or 0.0, known.gflops)
        if run.settings.training.compile or run.adjusted.checkpointing:
            return network_cost(run.settings.model, len(run.cache.classes), run.settings.dataset.height_width)
        return cost_of(run.network, next(run.test_batches.epoch()).images[:1])

    def _fail(self, error: Exception) -> None:
        (self.spec.folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        reason = [type(error).__name__, *str(error).strip().splitlines()[:1]]
        if out_of_memory(error):
            reason.insert(0, "out of memory in spite of all adjustments")
        epochs = len(self._run.history) if self._run else 0
        seconds = self._run.seconds if self._run else 0.0
        failed = Record(
            **self._identity(),
            status="failed",
            error=": ".join(reason),
            epochs=epochs,
            train_seconds=seconds,
            spent=self._clock.spent(),
            adjustments=Adjustments.read(self.spec.folder).notes,
            finished=_now(),
        )
        commit(failed, self.spec.folder)

    def _identity(self) -> dict[str, object]:
        spec = self.spec
        return {
            "sweep": spec.sweep,
            "configuration": spec.configuration,
            "fold": spec.fold,
            "code": spec.code,
            "data": spec.data,
            "split": spec.split,
            "seed": spec.seed,
            "device": _device_name(device_of(spec.device)),
            "gpus": spec.gpus,
            "settings": dict(spec.settings),
            "versions": _versions(),
            "started": self._started,
        }

    @property
    def _table(self) -> Path:
        return self.spec.folder / "epochs.csv"


# A worker trains many runs on the same data: opening it once per process is what makes a run cheap.
@functools.lru_cache(maxsize=4)
def _open_cache(folder: Path) -> ImageCache:
    return ImageCache(folder)


@functools.lru_cache(maxsize=4)
def _read_split(path: Path) -> tuple[Split, dict[str, str]]:
    return read_split_table(path)


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("torch", "segmentation-models-pytorch", "timm", "albumentations", "numpy", "ray")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _device_name(device: torch.device) -> str:
    """The model of the GPU or CPU; of a GPU that cannot be asked only its type, since failures are recorded too."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else str(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{device}: {line.split(':', 1)[1].strip()}"
    return f"{device}: {platform.processor() or platform.machine()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

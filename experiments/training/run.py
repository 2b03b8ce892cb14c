"""The training of one run: resumable after any epoch, bit for bit on CPU."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from experiments.sweep import Settings
from experiments.training.adjustments import Adjustments
from experiments.training.batches import EVALUATED_AT_ONCE, Batch, Batches, fold_batches
from experiments.training.checkpoint import Keeper, Pace
from experiments.training.evaluation import SNAPSHOTS, Evaluation, NotFiniteError, Snapshots, evaluate
from experiments.training.evaluation.snapshots import cases_to_show
from experiments.training.history.clock import PhaseClock
from experiments.training.history.epoch import Epoch
from experiments.training.loss import RunLoss
from experiments.training.memory import PeakMemory
from experiments.training.network import build_network, mask_channels
from experiments.training.optimization import LearningRate, amp_type, make_optimizer
from experiments.training.spec import RunSpec
from models.checkpointing import answer_in_parts, checkpoint_activations
from models.latent_augmentation import minority_classes
from utils.identity import derive_seed
from utils.images.cache import ImageCache
from utils.splits.folds import Fold


class DivergedError(ArithmeticError):
    """The loss or the network's answers became NaN or infinite; says in which epoch and what the loss was before."""


class TrainingRun:
    """Network, optimizer and history of one run. `step` trains an epoch; `done` says when to stop.

    Everything random is seeded by (run, purpose, epoch[, case]); state goes to ``last.pt`` between epochs, as often
    as the settings let it, and a new object with the same spec goes on from there.

    clock: takes down where the time goes; what earlier attempts have spent is added to it.
    """

    def __init__(
        self,
        spec: RunSpec,
        cache: ImageCache,
        fold: Fold,
        groups: Mapping[str, str],
        clock: PhaseClock | None = None,
    ) -> None:
        self.spec, self.clock = spec, clock or PhaseClock()
        self.adjusted = Adjustments.read(spec.folder)
        self.settings = self.adjusted.in_settings(Settings.model_validate(spec.settings))
        self._at_once = self.adjusted.micro_batch or self.settings.training.batch_size
        self.cache, self.fold, self.groups = cache, fold, groups
        self.device = device_of(spec.device)
        torch.set_num_threads(spec.threads)
        cv2.setNumThreads(1)  # its own pool would compete with torch's for the same cores
        self.history: list[Epoch] = []
        self.adjustments = [*self.adjusted.notes]
        self.best: tuple[float, int] | None = None
        self.peak_memory = PeakMemory(self.device)
        self.peak_memory.start()
        self._build()
        parameters = sum(one.nbytes for one in self.network.parameters())
        pace = Pace(self.settings.training.checkpoint_overhead, parameters)
        self._keeper, self._unkept = Keeper(spec.folder, self._identity(), self.device, pace), False
        self._resume()

    def _build(self) -> None:
        model, training = self.settings.model, self.settings.training
        torch.manual_seed(derive_seed(self.spec.seed, "initialisation"))
        network = build_network(model, len(self.cache.classes), self.spec.weights)
        if self.adjusted.checkpointing:
            checkpoint_activations(network.encoder, network.decoder)
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        self.network = network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        if training.compile:
            # In place: the keys of its state stay what they are. Fixed sizes: a fold has few, and they run faster.
            self.network.compile(dynamic=False)
        self.optimizer = make_optimizer(self.network.parameters(), training)
        self.learning_rate = LearningRate(self.optimizer, training, self.settings.objective.mode)
        self.amp = amp_type(training.amp, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp is torch.float16)
        counts = self._label_counts()
        self.loss = RunLoss(training, mask_channels(model, len(self.cache.classes)), counts).to(self.device)
        self._name_minority(counts)
        positions = {part: [self.cache.index(case) for case in getattr(self.fold, part)] for part in _PARTS}
        # Where activations are not kept, training takes hardly more for a case than an evaluation does.
        evaluated = self._at_once if self.adjusted.checkpointing else EVALUATED_AT_ONCE * self._at_once
        self.train_batches, self.validation_batches, self.test_batches = fold_batches(
            self.cache, positions, training, self.device, seed=self.spec.seed, evaluated=evaluated
        )
        self.shown = cases_to_show(self.cache, positions["validation"], training.snapshots)
        self.snapshots = self._no_snapshots()

    def _no_snapshots(self) -> Snapshots:
        return Snapshots.of([self.cache.ids[position] for position in self.shown], self.cache.masks.shape[1:])

    def _name_minority(self, counts: list[int]) -> None:
        """Tells the network whose features are augmented, if any are."""
        latent = self.settings.model.latent_augmentation
        if latent.name != "none":
            minority = minority_classes(counts, self.cache.classes, latent.options.get("classes"))
            self.network.minority[:] = torch.tensor(minority)
            if not any(minority):
                self.adjustments.append("no class is a minority in training: no latent augmentation")

    def _label_counts(self) -> list[int]:
        """Cases of each class in the training part."""
        labels = self.cache.labels[[self.cache.index(case) for case in self.fold.train]]
        return np.bincount(labels, minlength=len(self.cache.classes)).tolist()

    @property
    def done(self) -> bool:
        """True after the last epoch, or when the validation objective has not improved for `patience` epochs."""
        training = self.settings.training
        if len(self.history) >= training.epochs:
            return True
        patience, best_epoch = training.early_stopping.patience, self.best[1] if self.best else 0
        return patience is not None and bool(self.history) and len(self.history) - best_epoch >= patience

    @property
    def seconds(self) -> float:
        """Seconds spent in finished epochs, over all attempts."""
        return sum(epoch.seconds for epoch in self.history)

    def step(self) -> Epoch:
        """Trains one epoch and validates; writes ``best.pt`` and ``last.pt`` where they are due."""
        started, self._unkept = time.perf_counter(), False
        number_of_epoch = len(self.history) + 1
        lr = self.learning_rate.value
        torch.manual_seed(derive_seed(self.spec.seed, "epoch", number_of_epoch))
        with self.clock.phase("training"):
            train_loss = self._train(number_of_epoch)
        try:
            found = self._validate()
        except NotFiniteError as error:
            message = f"{error} after epoch {number_of_epoch}, whose training loss was {train_loss:.6g}"
            raise DivergedError(message) from error
        validation = found.metrics
        objective = validation.get(self.settings.objective.metric, math.nan)
        self.learning_rate.step(objective)
        if self._is_best(objective):
            self.best = (objective, number_of_epoch)
        seconds = time.perf_counter() - started
        epoch = Epoch(number_of_epoch, lr, train_loss, objective, validation, seconds)
        self.history.append(epoch)
        if self.shown:
            self.snapshots = self.snapshots.after(number_of_epoch, [found.maps[position] for position in self.shown])
            self.snapshots.write(self.spec.folder / SNAPSHOTS)
        self._unkept = True
        if self.done or self._keeper.due:
            self.keep()
        elif self._best_is_last():
            self._keeper.set_best(self.network, number_of_epoch)
        return epoch

    def keep(self) -> None:
        """Writes what the last epoch came to, unless that is on disk, or an epoch was broken off since."""
        if not self._unkept:
            return
        state = {
            "best": list(self.best) if self.best else None,
            "history": [vars(epoch) for epoch in self.history],
            "adjusted": list(self.adjusted.notes),
            "spent": self.clock.spent(),
            **{name: self.parts()[name].state_dict() for name in self._not_in_best()},
        }
        self._keeper.write(state, self._as_best() if self._best_is_last() else None, ended=self.done)
        self._unkept = False

    def _best_is_last(self) -> bool:
        return self.best is not None and self.best[1] == len(self.history)

    def _as_best(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "epoch": len(self.history)}

    def _validate(self) -> Evaluation:
        """The network as it is, on the validation part."""
        with self.clock.phase("validation"), self._autocast():
            return self._evaluate(self.validation_batches, native=False, keep=self.shown)

    def test(self) -> Evaluation:
        """The network as it is, on the test part at the images' own resolution: what is reported."""
        with self.clock.phase("testing"):
            return self._evaluate(self.test_batches, native=True)

    def _evaluate(self, batches: Batches, *, native: bool, keep: Sequence[int] = ()) -> Evaluation:
        return evaluate(
            self.network,
            batches,
            self.cache,
            native=native,
            options=self.settings.metrics,
            keep=keep,
            clock=self.clock,
            scorers=0 if self.device.type == "cpu" else self.spec.threads,
        )

    def _train(self, epoch: int) -> float:
        """One pass over the training part; the mean loss per case."""
        self.network.train()
        self.network.freeze_encoder(epoch <= self.settings.training.freeze_encoder_epochs)
        losses, sizes = [], []
        for batch in self.clock.waiting(self.train_batches.epoch(epoch)):
            losses.append(self._train_step(batch) * len(batch.labels))
            sizes.append(len(batch.labels))
        # One read of the device per epoch: reading each step's loss would make the GPU wait for it.
        mean = float(torch.stack(losses).sum() / sum(sizes))
        if not math.isfinite(mean):
            batches = [loss / size for loss, size in zip(torch.stack(losses).tolist(), sizes, strict=True)]
            before = [loss for loss in batches if math.isfinite(loss)] or [past.train_loss for past in self.history]
            last = f"the last finite one was {before[-1]:.6g}" if before else "it never was finite"
            raise DivergedError(f"the training loss became {mean} in epoch {epoch}; {last}")
        return mean

    def _train_step(self, batch: Batch) -> torch.Tensor:
        """One step of the optimizer; the batch's loss."""
        training = self.settings.training
        images = batch.images
        if training.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            output = answer_in_parts(self.network, images, batch.labels, self._at_once)
            loss = self.loss(output, batch.masks, batch.labels)
        self.scaler.scale(loss).backward()
        if training.gradient_clip is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device.type, dtype=self.amp, enabled=self.amp is not None):
            yield

    def _is_best(self, objective: float) -> bool:
        if math.isnan(objective):
            return False
        if self.best is None:
            return True
        return objective < self.best[0] if self.settings.objective.mode == "min" else objective > self.best[0]

    def _not_in_best(self) -> list[str]:
        """The parts without which ``best.pt`` is not enough to go on from. Writing takes as long as some steps."""
        if self.best is None:
            return [*self.parts()]
        if self.done:
            return []
        return [name for name in self.parts() if name != "network" or not self._best_is_last()]

    def parts(self) -> dict[str, Any]:
        """What training changes, by its name in ``last.pt``."""
        optimization = {"optimizer": self.optimizer, "learning_rate": self.learning_rate, "scaler": self.scaler}
        return {"network": self.network, **optimization}

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on with a run that goes on from it."""
        rate = {} if self.adjusted.lr is None else {"lr": self.adjusted.lr}
        return {"configuration": self.spec.configuration, "fold": self.spec.fold, "seed": self.spec.seed, **rate}

    def _resume(self) -> None:
        state = self._keeper.last()
        if state is None:
            return
        fault = self._keeper.fault(state)
        if not fault and not self.adjusted.follow(state.get("adjusted", ())):
            fault = "last.pt was trained with adjustments that are lost"
        if fault:
            warnings.warn(f"{self.spec.folder}: {fault}; starting over", stacklevel=2)
            return
        for name, part in self.parts().items():
            if name in state:
                part.load_state_dict(state[name])
        self.best = tuple(state["best"]) if state["best"] else None
        if "network" not in state:
            self.load_best()
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.clock.add(state.get("spent", {}))  # not there in what older code wrote
        self._resume_snapshots()

    def _resume_snapshots(self) -> None:
        """Takes up those of the epochs that are done: the attempt before may have been killed after one more."""
        kept = Snapshots.read(self.spec.folder / SNAPSHOTS) if self.shown else None
        if kept is not None and kept.continues(self.snapshots):
            self.snapshots = kept.until(len(self.history))

    def load_best(self) -> None:
        """Puts the best checkpoint into the network; notes in `adjustments` if there is none."""
        if self.best is None:
            # No validation case had a defined objective: nothing to choose by, and no reason to hide it.
            self._keeper.write_best(self._as_best())
            self.adjustments.append("validation objective undefined: last epoch kept")
            return
        state = self._keeper.best()
        if state is None:
            raise FileNotFoundError(
                f"the checkpoint of epoch {self.best[1]} is missing: {self.spec.folder / 'best.pt'}"
            )
        self.network.load_state_dict(state["network"])


_PARTS = ("train", "validation", "test")


def device_of(name: str) -> torch.device:
    """The device of a spec. ``auto``: the best of this process; Ray shows a worker only the GPUs it was given."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

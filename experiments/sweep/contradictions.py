"""Settings that are each valid and cannot be meant together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from experiments.sweep.file.problems import sentence
from experiments.sweep.schema.keys import OPTIONS
from experiments.sweep.schema.part import Registered, checked_options
from experiments.sweep.schema.settings import FOLDS_OF_DATA, Settings, TrainingSettings

Given = Callable[[str], bool]


@dataclass(frozen=True)
class Contradiction:
    """One thing that cannot be meant.

    keys: the settings that take part in it; the first is where it is reported.
    value, nearest, choices: as in `Problem`.
    """

    keys: tuple[str, ...]
    message: str
    value: object = None
    nearest: str = ""
    choices: tuple[str, ...] = ()


def contradictions(settings: Settings, given: Given) -> Iterator[Contradiction]:
    """Everything in a configuration that cannot be meant together.

    given: whether a dotted key was written down rather than left at its default.
    """
    yield from _folds(settings, given)
    yield from _objective(settings)
    yield from _training(settings)
    yield from _latent_augmentation(settings)
    yield from _options(settings)


def _folds(settings: Settings, given: Given) -> Iterator[Contradiction]:
    folds = settings.folds
    if folds.from_file is not None:
        # Folds that the data name have a test part each; what steers training is drawn as ever.
        for key in ("k", "test") if folds.from_file in FOLDS_OF_DATA else ("k", "test", "validation"):
            if given(f"folds.{key}"):
                message = f"folds.from already says what the folds are: leave {key} or from out"
                yield Contradiction((f"folds.{key}", "folds.from"), message)
        return
    if folds.k == 1 and folds.test is None:
        message = "a single fold needs test, the share of all cases that is tested, such as test: 0.2"
        yield Contradiction(("folds.k", "folds.test", "folds.from"), message, value=1)
    if folds.k > 1 and folds.test is not None:
        message = f"is for k: 1; with {folds.k} folds the test part of each is 1/{folds.k} of the cases"
        yield Contradiction(("folds.test", "folds.k", "folds.from"), message, value=folds.test)
    if folds.use is not None and folds.use > folds.k:
        message = f"there are only {folds.k} folds (folds.k)"
        yield Contradiction(("folds.use", "folds.k", "folds.from"), message, value=folds.use)


def _objective(settings: Settings) -> Iterator[Contradiction]:
    objective = settings.objective
    metric = Registered("utils.metrics", "METRICS").registry()[objective.metric]
    if metric.direction != objective.mode:
        better = "more" if metric.direction == "max" else "less"
        message = f"of {objective.metric} {better} is better: write {metric.direction}, or leave mode out"
        yield Contradiction(("objective.mode", "objective.metric"), message, value=objective.mode)
    if metric.kind == "fold" and settings.model.classification_head.name == "none":
        message = "measures the diagnosis, but the network makes none (model.classification_head)"
        yield Contradiction(("objective.metric", "model.classification_head"), message, value=objective.metric)


def _training(settings: Settings) -> Iterator[Contradiction]:
    training = settings.training
    if training.warmup_epochs >= training.epochs:
        message = f"the learning rate would never reach its peak in {training.epochs} epochs (training.epochs)"
        yield Contradiction(("training.warmup_epochs", "training.epochs"), message, value=training.warmup_epochs)
    if training.augmentation_on == "device":
        yield from _augmentation_on_device(training)


def _augmentation_on_device(training: TrainingSettings) -> Iterator[Contradiction]:
    # Asked only here: importing the counterparts takes seconds, for they need torch.
    possible = Registered("utils.images.augmentation.batches", "BATCH_AUGMENTATION").registry()
    missing = tuple(part.name for part in training.augmentation if part.name not in possible)
    if missing:
        message = f"has no counterpart on the device for {', '.join(missing)}; write host, or leave them out"
        keys = ("training.augmentation_on", "training.augmentation")
        yield Contradiction(keys, message, value="device", choices=tuple(possible))


def _latent_augmentation(settings: Settings) -> Iterator[Contradiction]:
    latent, head = settings.model.latent_augmentation, settings.model.classification_head
    if latent.options.get("feeds") != "head":
        return
    keys = ("model.latent_augmentation", "model.classification_head")
    if head.name == "none":
        message = "feeds the classification head, and there is none; write feeds: decoder, or add a head"
        yield Contradiction(keys, message, value=latent.name)
    elif head.options.get("feature") == "before_bottleneck":
        message = "changes the bottleneck's output, but the classification head reads before_bottleneck"
        yield Contradiction(keys, message, value=latent.name)


def _options(settings: Settings) -> Iterator[Contradiction]:
    registry = Registered("utils.datasets", "DATASETS").registry()
    try:
        checked_options(registry, settings.dataset.name, settings.dataset.options, ())
    except ValidationError as error:
        for item in error.errors(include_url=False):
            context = item.get("ctx", {})
            key = ".".join((OPTIONS, *map(str, item["loc"])))
            message = f"{sentence(item)} (dataset {settings.dataset.name})"
            value = None if item["type"] in ("missing", "extra_forbidden") else item["input"]
            nearest, choices = context.get("nearest", ""), context.get("choices", ())
            yield Contradiction((key, "dataset.name"), message, value, nearest, choices)

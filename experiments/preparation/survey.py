"""What a sweep would run on which data: audited cases, folds, and the ids that follow from them.

Opens every file of the data and writes nothing, so that a plan can be made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.sweep import Configuration, DatasetSettings, FoldSettings, Sweep
from experiments.training import TRAINING_VERSION
from models.latent_augmentation import minority_classes
from utils.datasets import DATASETS, Dataset
from utils.errors import Problem, UserError
from utils.identity import canonical_json, digest
from utils.splits.audit import Audit, audit, group_names
from utils.splits.folds import Split, make_split, split_from_file
from utils.splits.given import split_as_given, split_by_source

StageProgress = Callable[[str, int, int], None]
"""Called with (name of the stage, done, total)."""


@dataclass(frozen=True)
class Source:
    """A dataset as some configurations see it, audited.

    contents: usable case id -> hash of its content. data: the hash of all of them.
    """

    name: str
    dataset: Dataset
    audit: Audit
    contents: dict[str, str]
    data: str


@dataclass(frozen=True)
class PlannedConfiguration:
    """A configuration with what it runs on. folds: how many of the split's folds are run."""

    configuration: Configuration
    id: str
    source: Source
    split: Split
    folds: int


@dataclass(frozen=True)
class Survey:
    """Every configuration of a sweep, planned; the distinct sources that they use.

    previews: for a sweep with a space, configurations that need what its draws can need, as far as that is known.
    """

    sources: tuple[Source, ...]
    planned: tuple[PlannedConfiguration, ...]
    previews: tuple[PlannedConfiguration, ...] = ()
    _opened: dict[str, Source] = field(default_factory=dict, repr=False)
    _splits: dict[tuple[str, str], Split] = field(default_factory=dict, repr=False)

    def plan(self, configuration: Configuration) -> PlannedConfiguration:
        """One more configuration, such as a draw; data that nobody has used so far are opened.

        Raises UserError for data that cannot be used, and for impossible folds.
        """
        key = source_key(configuration.settings.dataset)
        if key not in self._opened:
            source = _source(configuration.settings.dataset, lambda stage, done, total: None)
            if configuration.settings.dataset.on_error == "stop":
                source.audit.raise_on_errors()
            self._opened[key] = source
        return _plan(configuration, self._opened, self._splits)


def foreseen(sweep: Sweep) -> list[Configuration]:
    """The configurations of the sweep, with a space also those that stand for its draws when data are prepared."""
    return [*sweep.configurations, *_previews(sweep)]


def open_sources(sweep: Sweep, on_progress: StageProgress) -> dict[str, Source]:
    """Opens and audits every dataset of `sweep`. Raises UserError naming all that are not there or have no case."""
    datasets = {source_key(each.settings.dataset): each.settings.dataset for each in foreseen(sweep)}
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for key, dataset in datasets.items():
        try:
            sources[key] = _source(dataset, on_progress)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return sources


def survey(sweep: Sweep, sources: Mapping[str, Source]) -> Survey:
    """Draws the folds of `sweep` and names its configurations.

    Raises UserError for audit errors where ``dataset.on_error`` is ``stop``, and for impossible folds.
    """
    stopping = {source_key(c.settings.dataset) for c in foreseen(sweep) if c.settings.dataset.on_error == "stop"}
    problems: list[Problem] = []
    for key in sorted(stopping):
        try:
            sources[key].audit.raise_on_errors()
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    opened, splits = dict(sources), dict[tuple[str, str], Split]()
    planned = [_plan(configuration, opened, splits) for configuration in sweep.configurations]
    _check_distinct(planned)
    previews = [_plan(configuration, opened, splits) for configuration in _previews(sweep)]
    return Survey(tuple(sources.values()), tuple(planned), tuple(previews), opened, splits)


def _previews(sweep: Sweep) -> list[Configuration]:
    space = sweep.space
    return [each for index in range(len(space.templates)) for each in space.previews(index)] if space else []


def _plan(
    configuration: Configuration, sources: Mapping[str, Source], splits: dict[tuple[str, str], Split]
) -> PlannedConfiguration:
    """A configuration on its source; `splits` keeps what is drawn."""
    folds, dataset = configuration.settings.folds, configuration.settings.dataset
    source = sources[source_key(dataset)]
    _check_classes(configuration, source)
    key = (source_key(dataset), folds_key(folds))
    if key not in splits:
        splits[key] = _split(source, folds)
    split = splits[key]
    identifier = configuration.id(source.data, split.hash, TRAINING_VERSION)
    return PlannedConfiguration(configuration, identifier, source, split, _folds_used(folds, split))


def _check_distinct(planned: Sequence[PlannedConfiguration]) -> None:
    """Raises UserError for configurations that differ in words but not in what is computed (two roots, same data)."""
    names: dict[str, list[str]] = {}
    for one in planned:
        names.setdefault(one.id, []).append(one.configuration.name)
    problems = [
        Problem("search", f"these configurations would compute the same: {', '.join(same)}; keep one of them")
        for same in names.values()
        if len(same) > 1
    ]
    if problems:
        raise UserError(problems)


def source_key(dataset: DatasetSettings) -> str:
    """What a sweep file says of the cases, in one form: equal texts stand for the same source."""
    return canonical_json(dataset.model_dump(mode="json", include={"name", "root", "options", "on_error"}))


def folds_key(folds: FoldSettings) -> str:
    """What a sweep file says of the split, in one form."""
    # How many folds are run changes neither the split nor the configuration's id.
    return canonical_json(folds.model_dump(mode="json", exclude={"use"}))


def _source(settings: DatasetSettings, on_progress: StageProgress) -> Source:
    dataset: Dataset = DATASETS[settings.name](settings.root, **settings.options)
    stage = f"Opening the cases of {settings.name}"
    report = audit(dataset, lambda done, total: on_progress(stage, done, total))
    contents = {case.id: dataset.content(case) for case in report.usable}
    data = digest({"classes": list(dataset.classes), "cases": contents})
    return Source(settings.name, dataset, report, contents, data)


def _split(source: Source, folds: FoldSettings) -> Split:
    ids = [case.id for case in source.audit.usable]
    groups = _groups(source, folds)
    if folds.from_file == "source":
        return split_by_source(source.audit.usable, groups, seed=folds.seed, validation=folds.validation)
    if folds.from_file == "split":
        return split_as_given(source.audit.usable, groups, seed=folds.seed, validation=folds.validation)
    if folds.from_file is not None:
        return split_from_file(folds.from_file, ids, groups, [case.id for case in source.audit.skipped])
    labels = {case.id: case.label for case in source.audit.usable}
    return make_split(ids, labels, groups, k=folds.k, seed=folds.seed, validation=folds.validation, test=folds.test)


def _groups(source: Source, folds: FoldSettings) -> Mapping[str, str]:
    """Case id -> what must stay on one side."""
    if folds.group == "near_duplicates":
        return source.audit.groups
    if folds.group == "none":
        return {case.id: case.id for case in source.audit.usable}
    return group_names(source.audit.usable)


def _check_classes(configuration: Configuration, source: Source) -> None:
    """Raises UserError where a class is named that the data do not have, or is to be told that has no case."""
    present = {case.label for case in source.audit.usable}
    absent = [label for label in source.dataset.classes if label not in present]
    if absent and configuration.settings.model.classification_head.name != "none":
        remedy = "a diagnosis needs cases of every class; add some, or set model.classification_head to none"
        raise UserError(Problem("dataset", f"no usable case is labelled {label!r}: {remedy}") for label in absent)
    chosen = configuration.settings.model.latent_augmentation.options.get("classes")
    if chosen is not None:
        minority_classes([1] * len(source.dataset.classes), source.dataset.classes, chosen)


def _folds_used(folds: FoldSettings, split: Split) -> int:
    if folds.use is not None and folds.use > len(split.folds):
        message = f"there are only {len(split.folds)} folds"
        raise UserError(Problem("folds.use", message, value=folds.use))
    return folds.use or len(split.folds)

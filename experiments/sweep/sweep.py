"""A sweep as a frozen value, and how a file becomes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from experiments.sweep.choices import sections
from experiments.sweep.configuration import Configuration
from experiments.sweep.expansion import Expansion
from experiments.sweep.file.demo import demo as demo_of
from experiments.sweep.file.layers import apply_overrides, read_layers, remove
from experiments.sweep.file.problems import Report, check_scalars, validation_problems
from experiments.sweep.file.reader import Node, Place
from experiments.sweep.file.references import References, Stages
from experiments.sweep.file.winners import Winner, Winners
from experiments.sweep.schema.keys import setting_at
from experiments.sweep.schema.part import Part
from experiments.sweep.schema.search import Notify, Racing, Resources, SearchSettings
from experiments.sweep.schema.settings import Objective, Settings
from experiments.sweep.schema.sweep_file import SweepFile
from experiments.sweep.space import Space
from utils.errors import UserError

_UNTRACKED = Part("none")


@dataclass(frozen=True)
class Sweep:
    """One question: what is fixed, what varies, and every configuration that follows.

    settings: those that the file fixes; a varied key has here what the file says beside the search, or its default.
    configurations: in the order of the file; never empty; no two have equal settings. With a space these are the
    templates: each is drawn for `space.samples` times, and is not itself trained.
    varied: the dotted keys that vary, in the order of the file; ``case`` first where there are named cases, those of
    the space last.
    notify: who is told of its end. tracking: the dashboard that mirrors it. source: the file that was read.
    space: what is drawn for each of the configurations; None if nothing is.
    references: a line for each reference to another sweep's winner: what it stands for, and why.
    waiting: a line for each that waits for an earlier stage of a journey; such a sweep cannot run yet.
    predicted: the winners whose out-of-fold predictions it is built upon, which are made before its data are opened.
    """

    name: str
    question: str
    settings: Settings
    configurations: tuple[Configuration, ...]
    varied: tuple[str, ...]
    search: SearchSettings
    racing: Racing
    resources: Resources
    notify: Notify
    source: Path
    space: Space | None = None
    references: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    predicted: tuple[Winner, ...] = ()
    tracking: Part = _UNTRACKED

    @property
    def objective(self) -> Objective:
        """What counts as better; the same for all configurations."""
        return self.settings.objective


def load_sweep(
    path: Path | str,
    overrides: Sequence[str] = (),
    demo: bool = False,
    results: Path = Path("results"),
    stages: Stages | None = None,
) -> Sweep:
    """The sweep of a file; base files < the file < demo < overrides.

    overrides: ``key=value`` with a dotted key and a YAML value (`--set`).
    demo: the same question on phantoms, small (`--demo`).
    results: where the winners are found that the file refers to. stages: its place in a journey.
    Raises UserError with every problem found, each with its key, its line, and what was probably meant.
    """
    path = Path(path)
    root = read_layers(path)
    if demo:
        root = demo_of(root)
    root = apply_overrides(root, overrides)
    found = References(root, Winners(results, path.parent, demo), stages or Stages())
    report = Report(found.root)
    found.note(report)
    check_scalars(report, SweepFile)
    file, base = _checked(found.root, report)
    expansion = Expansion(base, report, merge_equal=demo or found.merge)
    configurations = expansion.configurations()
    space = expansion.space(file.search)
    if file.racing.enabled and space is not None:
        message = (
            "configurations that are drawn from search.space come one after another and cannot race; leave one out"
        )
        report.add(("racing", "enabled"), message)
    if report.problems:
        raise UserError(report.sorted())
    return Sweep(
        name=file.name,
        question=file.question,
        settings=Settings.model_validate(sections(base)),
        configurations=configurations,
        varied=expansion.varied,
        search=file.search,
        racing=file.racing,
        resources=file.resources,
        notify=file.notify,
        source=path,
        space=space,
        references=tuple(found.told),
        waiting=tuple(found.waiting),
        predicted=tuple(found.predicted.values()),
        tracking=file.tracking,
    )


def _checked(root: Node, report: Report) -> tuple[SweepFile, Node]:
    """The file as a model and the tree it came from, both without what is broken; problems go to the report."""
    tree = _without(root, report.broken)
    while True:
        try:
            return SweepFile.model_validate(tree.plain()), tree
        except ValidationError as error:
            noted = len(report.broken)
            validation_problems(report, error, SweepFile)
            if len(report.broken) == noted:
                raise  # with all that is broken taken out only defaults are left: the mistake is ours
        tree = _without(root, report.broken)


def _without(root: Node, broken: set[Place]) -> Node:
    """The tree without every setting that holds a broken place; a setting is taken out as a whole."""
    for place in broken:
        root = remove(root, setting_at(place, SweepFile))
    if any(place[:1] == ("name",) for place in broken):  # the only key without a default
        root = Node({**root.content, "name": Node("unnamed", root.source)}, root.source)
    return root

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
from experiments.sweep.schema.keys import setting_at
from experiments.sweep.schema.search import Racing, Resources, SearchSettings
from experiments.sweep.schema.settings import Objective, Settings
from experiments.sweep.schema.sweep_file import SweepFile
from utils.errors import UserError


@dataclass(frozen=True)
class Sweep:
    """One question: what is fixed, what varies, and every configuration that follows.

    settings: those that the file fixes; a varied key has here what the file says beside the search, or its default.
    configurations: in the order of the file; never empty; no two have equal settings.
    varied: the dotted keys that vary, in the order of the file; ``case`` first where there are named cases.
    source: the file that was read.
    """

    name: str
    question: str
    settings: Settings
    configurations: tuple[Configuration, ...]
    varied: tuple[str, ...]
    search: SearchSettings
    racing: Racing
    resources: Resources
    source: Path

    @property
    def objective(self) -> Objective:
        """What counts as better; the same for all configurations."""
        return self.settings.objective


def load_sweep(path: Path | str, overrides: Sequence[str] = (), demo: bool = False) -> Sweep:
    """The sweep of a file; base files < the file < demo < overrides.

    overrides: ``key=value`` with a dotted key and a YAML value (`--set`).
    demo: the same question on phantoms, small (`--demo`).
    Raises UserError with every problem found, each with its key, its line, and what was probably meant.
    """
    path = Path(path)
    root = read_layers(path)
    if demo:
        root = demo_of(root)
    root = apply_overrides(root, overrides)
    report = Report(root)
    check_scalars(report, SweepFile)
    file, base = _checked(root, report)
    expansion = Expansion(base, report, merge_equal=demo)
    configurations = expansion.configurations()
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
        source=path,
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
        if tree.at(("name",)) is None:  # the only key without a default; a problem with it is noted by now
            tree = Node({**tree.content, "name": Node("unnamed", tree.source)}, tree.source)


def _without(root: Node, broken: set[Place]) -> Node:
    """The tree without every setting that holds a broken place; a setting is taken out as a whole."""
    for place in broken:
        root = remove(root, setting_at(place, SweepFile))
    return root

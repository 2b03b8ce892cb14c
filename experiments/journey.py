"""A journey: several sweeps in one command, each a stage that may refer to the winners of those before it.

A stage is loaded when the one before is complete, so that its references find their winners. What can be known of
all stages before the first one runs is checked before. A stage with failed runs is complete: the journey goes on as
long as the next stage finds the winners that it asks for, and its exit code tells of the failures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.sweep import Sweep, load_sweep, nested
from experiments.sweep.file.layers import read_layers, remove
from experiments.sweep.file.problems import Report, validation_problems
from experiments.sweep.file.reader import Node, read_file
from experiments.sweep.file.references import Stages
from experiments.sweep.file.winners import Winner, Winners
from experiments.sweep.schema.journey_file import JourneyFile
from experiments.sweep.schema.keys import fields_of
from experiments.sweep.schema.sweep_file import SweepFile
from utils.errors import Problem, UserError, nearest


@dataclass(frozen=True)
class Stage:
    """One sweep of a journey. name: its full name, with ``_demo`` in a demo; '' while its file cannot be read."""

    path: Path
    name: str


@dataclass(frozen=True)
class Journey:
    """Sweeps in their order; what is asked of every one of them.

    overrides, demo, results: as for `load_sweep`.
    """

    name: str
    question: str
    stages: tuple[Stage, ...]
    overrides: tuple[str, ...]
    demo: bool
    results: Path

    def load(self, index: int, waiting: Mapping[str, Mapping[str, Any] | None] | None = None) -> Sweep:
        """The sweep of a stage, with the winners of the stages before it.

        waiting: as `Stages.before`, the stages that are not complete. Raises UserError.
        """
        later = tuple(stage.name for stage in self.stages[index + 1 :])
        place = Stages(before=waiting or {}, after=later)
        return load_sweep(self.stages[index].path, self.overrides, self.demo, self.results, place)


def is_journey(path: Path) -> bool:
    """Whether a file has stages. Raises UserError for one that cannot be read."""
    return "stages" in read_file(path).content


def load_journey(
    path: Path, overrides: Sequence[str] = (), demo: bool = False, results: Path = Path("results")
) -> Journey:
    """The journey of a file, every stage of it checked as far as it can be before the stages before it have run.

    Raises UserError with every problem found, in the journey and in its stages.
    """
    problems = [
        Problem(f"--set {text}", "names one sweep, and a journey has several; each stage has a name of its own")
        for text in overrides
        if text.partition("=")[0].strip() == "name"
    ]
    file, stages, found = _read(path, demo)
    problems += found
    if problems or not stages:
        raise UserError(problems)
    journey = Journey(file.name, file.question, stages, tuple(overrides), demo, results)
    waiting: dict[str, Mapping[str, Any] | None] = {}
    for index, stage in enumerate(stages):
        waiting[stage.name] = None
        before = {name: settings for name, settings in waiting.items() if name != stage.name}
        try:
            sweep = journey.load(index, before)
            waiting[stage.name] = nested(sweep.configurations[0].settings)
        except UserError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise UserError(problems)
    return journey


def run_file(
    path: Path,
    overrides: Sequence[str],
    demo: bool,
    results: Path,
    console: Console,
    run: Callable[[Sweep], int],
) -> int:
    """Runs the sweep of a file, or every stage of a journey; returns the exit code.

    run: as in `run_journey`. The others: as in `load_sweep`. Raises UserError.
    """
    if is_journey(path):
        return run_journey(load_journey(path, overrides, demo, results), console, run)
    return run(load_sweep(path, overrides, demo, results))


def plan_journey(journey: Journey, console: Console, show: Callable[[Sweep], int]) -> None:
    """Plans every stage whose winners are known; the others are named with what they wait for.

    show: prints the plan of a sweep and returns how many runs are to be done.
    """
    winners = Winners(journey.results, journey.stages[0].path.parent, journey.demo)
    waiting: dict[str, Mapping[str, Any] | None] = {}
    for index, stage in enumerate(journey.stages):
        _heading(journey, index, console)
        sweep = journey.load(index, waiting)
        if sweep.waiting:
            _say(console, f"{stage.name} cannot be planned yet: " + "; ".join(sweep.waiting))
        if sweep.waiting or show(sweep) or not winners.is_complete(stage.name):
            waiting[stage.name] = None


def run_journey(journey: Journey, console: Console, run: Callable[[Sweep], int]) -> int:
    """Runs the stages in their order and shows who won each; returns the first exit code that is not 0.

    run: takes a sweep to its leaderboard and returns its exit code.
    Raises UserError where a stage cannot run although all before it are complete, without a failed run.
    """
    code = 0
    done: list[Sweep] = []
    for index, stage in enumerate(journey.stages):
        _heading(journey, index, console)
        try:
            sweep = journey.load(index)
        except UserError as error:
            if not code:
                raise
            for problem in error.problems:
                _say(console, str(problem))
            _say(
                console, f"The journey ends before {stage.name}; the same command with --retry-failed takes it further"
            )
            break
        code = run(sweep) or code
        done.append(sweep)
    console.print()
    console.print(_table(journey, done))
    return code


def _read(path: Path, demo: bool) -> tuple[JourneyFile, tuple[Stage, ...], list[Problem]]:
    """The file as a model, its stages, and what is wrong with either."""
    root = read_file(path)
    report = Report(root)
    _note_unknown_keys(report)
    try:
        file = JourneyFile.model_validate(_without(root, report).plain())
    except ValidationError as error:
        validation_problems(report, error, JourneyFile)
        raise UserError(report.sorted()) from None
    stages: list[Stage] = []
    problems: list[Problem] = []
    for index, text in enumerate(file.stages):
        place = ("stages", index)
        if "\0" in text:
            report.add(place, "is no path of a file", value=text)
            continue
        target = path.parent / text
        before = len(report.problems) + len(problems)
        if target.resolve() in [stage.path.resolve() for stage in stages]:
            report.add(place, "stands here twice; a sweep is run once", value=text)
            continue
        name = ""
        try:
            if "stages" in read_file(target, root.source_at(place)).content:
                report.add(place, "is a journey itself; name its stages instead", value=text)
            else:
                name = _name_of(target, demo)
        except UserError as error:
            problems += error.problems
        if name and name in [stage.name for stage in stages]:
            other = next(stage.path for stage in stages if stage.name == name)
            report.add(place, f"is named {name}, as {other} is; their results would be one", value=text)
        if len(report.problems) + len(problems) == before:
            stages.append(Stage(target, name))
    return file, tuple(stages), [*report.sorted(), *problems]


def _note_unknown_keys(report: Report) -> None:
    own = tuple(JourneyFile.model_fields)
    for key in report.root.content:
        if key in fields_of(SweepFile) and key not in own:
            report.add((key,), "belongs into the sweep files; a journey only names them", choices=own)
        elif key not in own:
            report.add((key,), "unknown key", nearest=nearest(key, own), choices=own)


def _without(root: Node, report: Report) -> Node:
    for place in report.broken:
        root = remove(root, place)
    return root


def _name_of(path: Path, demo: bool) -> str:
    """The full name of the sweep in a file; '' where it has none, which loading it reports."""
    name = read_layers(path).content.get("name")
    text = name.content if name is not None and isinstance(name.content, str) else ""
    return f"{text}_demo" if text and demo else text


def _heading(journey: Journey, index: int, console: Console) -> None:
    console.print()
    console.rule(Text(f"{journey.name}, stage {index + 1} of {len(journey.stages)}: {journey.stages[index].name}"))


def _table(journey: Journey, done: Sequence[Sweep]) -> Table:
    """The stages that ran, with their winners."""
    winners = Winners(journey.results, journey.stages[0].path.parent, journey.demo)
    title = f"{journey.name}: {journey.question}" if journey.question else journey.name
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2), header_style="dim")
    for column in ("stage", "winner", "objective", "tied", "leaderboard"):
        table.add_column(column, overflow="fold")
    for sweep in done:
        try:
            winner = winners.of(sweep.name)
        except UserError:
            winner = None  # every run of it failed
        path = str(journey.results / f"{sweep.name}.csv")
        if winner is None:
            table.add_row(sweep.name, "none", "", "", Text(path))
        else:
            table.add_row(
                sweep.name, Text(_described(sweep, winner)), _score(sweep, winner), str(winner.tied), Text(path)
            )
    return table


def _described(sweep: Sweep, winner: Winner) -> str:
    """A winner by its case and by what else varies in its sweep: what a case stands for is in the sweep file."""
    drawn = () if sweep.space is None else (dimension.key for dimension in sweep.space.dimensions)
    keys = [key for key in sweep.varied if key == "case" or key in sweep.search.grid or key in drawn]
    cells = {key: cell for key in keys if (cell := winner.row.get(key, ""))}
    if len(keys) == 1:
        return cells.get(keys[0], "")
    return ", ".join(cell if key == "case" else f"{key}={cell}" for key, cell in cells.items()) or "the only one"


def _score(sweep: Sweep, winner: Winner) -> str:
    metric = sweep.objective.metric
    mean, low, high = (winner.row.get(f"{metric}_{part}", "") for part in ("mean", "ci_low", "ci_high"))
    return f"{metric} {float(mean):.4f}" + (f" ({float(low):.4f} to {float(high):.4f})" if low and high else "")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

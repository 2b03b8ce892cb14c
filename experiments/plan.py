"""``--plan``: what a sweep would run, what of it is done, and what the rest would cost. Runs and writes nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from experiments.agenda import Packing
from experiments.calibration import advice, calibration_here, measure
from experiments.cascade import predictions_of
from experiments.claims import Capacity, capacity_here, claims, slot_of
from experiments.console.display import Display, duration
from experiments.estimates import seconds_of
from experiments.ledger import Ledger, Record
from experiments.opened import field_of, runs_of
from experiments.preflight import Slot
from experiments.preflight.folder import check_place
from experiments.preflight.network import check_network
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.search import Search
from experiments.sweep import Budget, Resources, Sweep
from experiments.training.network import network_cost
from experiments.training.probe import step_seconds
from experiments.workload import changed_data
from models.cost import Cost
from utils.errors import Problem, UserError


@dataclass(frozen=True)
class PlannedCost:
    """One line of the plan: a configuration, or one that is drawn for.

    runs: all that there will be. records: of those that have ended. run_seconds: one run, by its finished siblings or
    else by a probed step. memory: bytes at the peak of a training step, estimated, 0 where nothing is left to run.
    problem: why its network can never be trained, '' if it can. drawn: how many configurations
    have been drawn for it, and are to be; None if it is trained itself.
    """

    planned: PlannedConfiguration
    runs: int
    records: tuple[Record, ...]
    cost: Cost | None
    run_seconds: float
    memory: int = 0
    problem: str = ""
    drawn: tuple[int, int] | None = None

    @property
    def missing(self) -> int:
        """Runs that are still to be done."""
        return self.runs - len(self.records)


def show_plan(sweep: Sweep, results: Path, console: Console) -> int:
    """Prints the plan of `sweep`; returns how many runs are to be done.

    Raises UserError for data that cannot be used, and for a place where no results can be.
    """
    if problems := check_place(results):
        raise UserError(problems)
    with Display(console) as display:
        for line in sweep.references:
            display.say(line)
        if absent := [name for name, there in predictions_of(sweep, results).items() if not there]:
            message = "the predictions that it is built upon are not made yet; its own command makes them first"
            raise UserError(Problem(f"{sweep.name} cannot be planned", message, value=", ".join(absent)))
        sources = open_sources(sweep, display.stage)
    for source in sources.values():
        display.say(source.audit.summary())
    found = survey(sweep, sources)
    ledger = Ledger(results.absolute(), sweep.name)
    for changed in changed_data(ledger, found):
        display.say(f"Changed: {changed}")
    resources, capacity = _place(sweep, display)
    slot, threads = slot_of(resources, capacity), claims(resources, capacity.cores, capacity.gpus).cpus
    # Ten seconds, once on a machine: for a person who waits, not for a program that reads the plan.
    calibration = calibration_here(measure if console.is_terminal else None) if slot.device == "cpu" else None
    if calibration is not None:
        trainings = [planned.configuration.settings.training for planned in found.planned]
        for line in advice(calibration, trainings, side_by_side=threads == 1 and slot.at_once > 1):
            display.say(line)
    search = Search(sweep, found, ledger) if sweep.space is not None else None
    field = field_of(sweep, found.planned, ledger, ledger.records(runs_of(found.planned)))
    racing = None if field is None else {one for one, _ in field.race.left()}
    lines = [
        _line(planned, ledger, slot, threads, search, racing is None or planned.id in racing)
        for planned in track(found.planned, "Trying one step of each", console=console, transient=True)
    ]
    console.print(_table(lines, slot))
    runs, missing = sum(line.runs for line in lines), sum(line.missing for line in lines)
    at_once, gpus = together(lines, resources, slot, capacity)
    seconds = sum(line.missing * line.run_seconds for line in lines if not line.problem) / at_once
    done = runs - missing
    failed = sum(record.status == "failed" for line in lines for record in line.records)
    display.say(
        f"{len(lines)} configurations x {_drawn(search)}folds = {runs} runs, {done} done"
        + (f" ({failed} failed)" if failed else "")
        + f", {missing} to run: about {duration(seconds)} with {at_once} at a time on {slot.device} of this"
        f" machine, fewer with early stopping{' and racing' if sweep.racing.enabled else ''}"
    )
    budget = sweep.search.budget
    if budget.limited and missing:
        allowed = affordable(lines, budget, at_once, gpus)
        display.say(f"The budget of {budget.words} allows about {allowed} of them")
    return missing


def together(lines: Sequence[PlannedCost], resources: Resources, slot: Slot, capacity: Capacity) -> tuple[int, float]:
    """How many runs there are at a time, and the GPUs that each occupies, on CPUs 1: what a budget counts.

    On GPUs that runs share, as many as their memory lets on average.
    """
    if slot.device != "cuda":
        return slot.at_once, 1.0
    peaks = {line.planned.id: line.memory or None for line in lines}
    machine = (capacity.cores, capacity.gpus, capacity.gpu_memory)
    packing = Packing(resources, *machine, peaks.get, cramped=lambda run: False)
    claim = packing.typical([line.planned.id for line in lines if line.missing])
    claimed = resources.model_copy(update={"cpus": claim.cpus, "gpus": claim.gpus})
    return slot_of(claimed, capacity).at_once, claim.gpus


def affordable(lines: Sequence[PlannedCost], budget: Budget, at_once: int, gpus: float) -> int:
    """How many of the missing runs a budget allows: the first of each configuration, and then the others.

    gpus: that a run occupies, on CPUs 1.
    """
    waiting = [line for line in lines if line.missing and not line.problem]
    first = [line.run_seconds for line in waiting if not line.records]
    later = [line.run_seconds for line in waiting for _ in range(line.missing - (not line.records))]
    spent = sum(seconds_of(record) * (record.gpus or 1.0) for line in lines for record in line.records)
    within = [math.inf if limit is None else limit * 3600 for limit in (budget.hours, budget.gpu_hours)]
    ends = itertools.accumulate([*first, *later])
    return sum(end / at_once <= within[0] and spent + end * gpus <= within[1] for end in ends)


def _place(sweep: Sweep, display: Display) -> tuple[Resources, Capacity]:
    """This machine, and what runs are to have on it; of a sweep for a larger one, what this one would give them."""
    capacity = capacity_here()
    try:
        slot_of(sweep.resources, capacity)
    except UserError as error:
        for problem in error.problems:
            display.say(f"Not on this machine: {problem}")
        return Resources(), capacity
    return sweep.resources, capacity


def _drawn(search: Search | None) -> str:
    return "" if search is None else f"{search.space.samples} samples x "


def _line(
    planned: PlannedConfiguration, ledger: Ledger, slot: Slot, threads: int, search: Search | None, racing: bool
) -> PlannedCost:
    drawn = [planned] if search is None else search.of_template(planned)
    known = [(each.id, fold) for each in drawn for fold in range(each.folds)]
    records = tuple(ledger.records(known).values())
    runs, counts = len(known) if racing else len(records), None
    if search is not None:
        counts = (len(drawn), search.space.samples)
        runs += (counts[1] - counts[0]) * planned.folds
    settings, classes = planned.configuration.settings, len(planned.source.dataset.classes)
    memory = 0
    if len(records) < runs or not any(record.status == "complete" for record in records):
        check = check_network(settings, classes, slot.device)
        if check.memory is None:
            return PlannedCost(planned, runs, records, None, math.nan, problem=check.reason, drawn=counts)
        memory = check.memory.peak if len(records) < runs else 0
    cost = network_cost(settings.model, classes, settings.dataset.height_width)
    seconds = _run_seconds(planned, records, runs, slot.device, threads)
    return PlannedCost(planned, runs, records, cost, seconds, memory, drawn=counts)


def _run_seconds(
    planned: PlannedConfiguration, records: tuple[Record, ...], runs: int, device: str, threads: int
) -> float:
    measured = [record.train_seconds for record in records if record.status == "complete"]
    if measured or len(records) == runs:
        return sum(measured) / max(len(measured), 1)
    settings, classes = planned.configuration.settings, len(planned.source.dataset.classes)
    fold = planned.split.folds[0]
    steps = math.ceil(len(fold.train) / settings.training.batch_size)
    # A validation case costs a forward pass: about a third of a training case.
    share = 1 + len(fold.validation) / max(len(fold.train), 1) / 3
    return step_seconds(settings, classes, device, threads) * steps * settings.training.epochs * share


def _table(lines: list[PlannedCost], slot: Slot) -> Table:
    """One row for each line; memory that a run has not got is yellow."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    searching = any(line.drawn for line in lines)
    table.add_column("configuration", overflow="fold")
    columns = ("samples drawn", "runs done") if searching else ("folds done",)
    for column in ("parameters (M)", "GFLOPs", "memory (GiB)", *columns, "time a run"):
        table.add_column(column, justify="right")
    for line in lines:
        name, done = Text(line.planned.configuration.name), [f"{len(line.records)}/{line.runs}"]
        if line.drawn is not None:
            done.insert(0, "{}/{}".format(*line.drawn))
        if line.cost is None:
            table.add_row(name, Text(f"can never run: {line.problem}", style="red"), "", "", *done, "")
            continue
        memory = f"{line.memory / 2**30:.2f}" if line.memory else ""
        shown = Text(memory, style="yellow" if slot.lacks(line.memory) else "")
        size = (f"{line.cost.params_millions:.2f}", f"{line.cost.gflops:.2f}", shown)
        table.add_row(name, *size, *done, duration(line.run_seconds))
    return table

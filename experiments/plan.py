"""``--plan``: what a sweep would run, what of it is done, and what the rest would cost. Runs and writes nothing."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from experiments.console.display import Display, duration
from experiments.ledger import Ledger, Record
from experiments.preparation import PlannedConfiguration, open_sources, survey
from experiments.search import Search
from experiments.sweep import Sweep
from experiments.training.network import network_cost
from experiments.training.probe import step_seconds
from models.cost import Cost
from utils.errors import UserError


@dataclass(frozen=True)
class PlannedCost:
    """One line of the plan: a configuration, or one that is drawn for.

    runs: all that there will be. records: of those that have ended. run_seconds: one run, by its finished siblings or
    else by a probed step. problem: why its network cannot be built, '' if it can. drawn: how many configurations
    have been drawn for it, and are to be; None if it is trained itself.
    """

    planned: PlannedConfiguration
    runs: int
    records: tuple[Record, ...]
    cost: Cost | None
    run_seconds: float
    problem: str = ""
    drawn: tuple[int, int] | None = None

    @property
    def missing(self) -> int:
        """Runs that are still to be done."""
        return self.runs - len(self.records)


def show_plan(sweep: Sweep, results: Path, console: Console) -> int:
    """Prints the plan of `sweep`; returns how many runs are to be done.

    Raises UserError for data that cannot be used.
    """
    with Display(console) as display:
        for line in sweep.references:
            display.say(line)
        sources = open_sources(sweep, display.stage)
    for source in sources.values():
        display.say(source.audit.summary())
    found = survey(sweep, sources)
    ledger = Ledger(results.absolute(), sweep.name)
    threads, slots, device = _machine(sweep)
    search = Search(sweep, found, ledger) if sweep.space is not None else None
    lines = [
        _line(planned, ledger, device, threads, search)
        for planned in track(found.planned, "Probing one step of each", console=console, transient=True)
    ]
    console.print(_table(lines))
    runs, missing = sum(line.runs for line in lines), sum(line.missing for line in lines)
    seconds = sum(line.missing * line.run_seconds for line in lines if not line.problem) / slots
    done = runs - missing
    failed = sum(record.status == "failed" for line in lines for record in line.records)
    display.say(
        f"{len(lines)} configurations x {_drawn(search)}folds = {runs} runs, {done} done"
        + (f" ({failed} failed)" if failed else "")
        + f", {missing} to run: about {duration(seconds)} with {slots} at a time on {device} of this machine,"
        " fewer with early stopping"
    )
    return missing


def _machine(sweep: Sweep) -> tuple[int, int, str]:
    """Threads of a run, runs at a time, and the device, if the sweep ran on this machine."""
    resources, cores = sweep.resources, os.cpu_count() or 1
    gpus = torch.cuda.device_count() if resources.gpus != 0 else 0
    share = 1.0 if resources.gpus == "auto" else float(resources.gpus)
    on_gpu = gpus > 0 and share > 0
    slots = int(gpus / share) if on_gpu else cores
    threads = max(1, cores // slots) if resources.cpus == "auto" else resources.cpus
    slots = max(1, min(slots, cores // threads))
    if resources.slots != "auto":
        slots = min(slots, resources.slots)
    return threads, slots, "cuda" if on_gpu else "cpu"


def _drawn(search: Search | None) -> str:
    return "" if search is None else f"{search.space.samples} samples x "


def _line(
    planned: PlannedConfiguration, ledger: Ledger, device: str, threads: int, search: Search | None
) -> PlannedCost:
    drawn = [planned] if search is None else search.of_template(planned)
    known = [(each.id, fold) for each in drawn for fold in range(each.folds)]
    records = tuple(ledger.records(known).values())
    runs, counts = len(known), None
    if search is not None:
        counts = (len(drawn), search.space.samples)
        runs += (counts[1] - counts[0]) * planned.folds
    settings, classes = planned.configuration.settings, len(planned.source.dataset.classes)
    try:
        cost = network_cost(settings.model, classes, settings.dataset.height_width)
        seconds = _run_seconds(planned, records, runs, device, threads)
    except UserError as error:
        problem = "; ".join(each.message for each in error.problems)
        return PlannedCost(planned, runs, records, None, math.nan, problem, counts)
    return PlannedCost(planned, runs, records, cost, seconds, drawn=counts)


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


def _table(lines: list[PlannedCost]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    searching = any(line.drawn for line in lines)
    table.add_column("configuration", overflow="fold")
    columns = ("samples drawn", "runs done") if searching else ("folds done",)
    for column in ("parameters (M)", "GFLOPs", *columns, "time a run"):
        table.add_column(column, justify="right")
    for line in lines:
        name, done = Text(line.planned.configuration.name), [f"{len(line.records)}/{line.runs}"]
        if line.drawn is not None:
            done.insert(0, "{}/{}".format(*line.drawn))
        if line.cost is None:
            table.add_row(name, Text(f"cannot be built: {line.problem}", style="red"), "", *done, "")
            continue
        cost = line.cost
        table.add_row(name, f"{cost.params_millions:.2f}", f"{cost.gflops:.2f}", *done, duration(line.run_seconds))
    return table

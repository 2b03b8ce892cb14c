"""What ``python -m experiments.explain`` does, once its options are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.console.display import shown
from experiments.console.interruption import Interruption
from experiments.explanation.explanation import Explainer
from experiments.explanation.sheet import MOST_ROWS, Panels, panels, sheet
from experiments.explanation.subjects import Subject, given, tested
from experiments.explanation.table import FILE, Row, measured, summary, write
from experiments.prediction import Selection, open_ensemble, select_runs
from experiments.prediction.cascaded import CROPS
from experiments.prediction.command import device_named, make_output, trained_on
from experiments.prediction.images.files import write_sheet
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from experiments.prediction.preparation import reader_of
from experiments.training.evaluation import NotFiniteError
from utils.errors import Problem, UserError


def explain(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    """Explains the cases or images that `options` name; the exit code.

    options: those of ``experiments.explain``. Returns 1 if an image could not be explained. Raises UserError.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    selection = select_runs(options.results, options.sweep, options.run)
    for note in selection.notes:
        say(note)
    output = options.output or Path(options.results) / "explanations" / options.sweep
    make_output(output)
    subjects = _subjects(options, selection, output, say)
    ensemble = open_ensemble(selection, device_named(options.device))
    explainer = Explainer(ensemble, options.method, options.layer)
    for line in described(explainer, options.method):
        say(line)
    rows: list[Row] = []
    sheets: dict[str, list[Panels]] = {}
    try:
        for subject in subjects:
            interruption.check()
            row, drawn = _explained(explainer, subject, selection, options.method)
            rows.append(row)
            if drawn is not None and len(sheets.setdefault(row.sheet, [])) < MOST_ROWS:
                sheets[row.sheet].append(drawn)
    except NotFiniteError as error:
        raise UserError(Problem("--run", f"{error}; choose another one")) from error
    write(output, rows)
    for name, pictures in sorted(sheets.items()):
        write_sheet(_sheet_file(output, name), sheet(name, pictures))
    return _summarised(rows, sheets, output, say)


def _subjects(
    options: argparse.Namespace, selection: Selection, output: Path, say: Callable[[str], None]
) -> list[Subject]:
    if not options.image:
        say("Test cases, each explained by the network of the fold that it was tested in, which has never seen it")
        return tested(selection, options.cases)
    if selection.runs[0].settings.dataset.name == CROPS:
        message = f"the networks of {selection.sweep} see crops that a first stage finds; leave --image out, and the"
        raise UserError(Problem("--image", f"{message} crops of its test cases are explained"))
    sources = find_images(options.image, output).sources
    if known := trained_on(sources, selection, options.results):
        say(f"{known} of the images lie in the folder of the sweep's own data: most of the networks have seen them")
    reader = reader_of(selection.runs[0].settings)
    return given(sources, TrueMasks(options.masks), reader, len(selection.runs))


def described(explainer: Explainer, method: str) -> list[str]:
    """What is shown, and what cannot be."""
    named = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}[method]
    lines = [
        f"{named} of the {aim}, at {', '.join(layer.name for layer in explainer.layers[aim])}" for aim in explainer.aims
    ]
    if not explainer.ensemble.classes:
        lines.append("The network has no classification head: only its segmentation is explained")
    elif "diagnosis" not in explainer.aims:
        lines.append("The diagnosis does not hang on what is looked at: only the segmentation is explained")
    elif "segmentation" not in explainer.aims:
        lines.append("The segmentation does not hang on what is looked at: only the diagnosis is explained")
    return lines


def _explained(explainer: Explainer, subject: Subject, selection: Selection, method: str) -> tuple[Row, Panels | None]:
    cells: dict[str, Any] = {
        "case": subject.name,
        "label": subject.label,
        "method": method,
        "layers": " ".join(dict.fromkeys(layer.name for aim in explainer.aims for layer in explainer.layers[aim])),
        "networks": " ".join(selection.runs[number].name for number in subject.members),
    }
    try:
        image, truth = subject.read()
        explanation = explainer.explain(image, subject.members)
    except (OSError, ValueError, UserError) as error:
        return Row(**cells, error=str(error)), None
    row = Row(**(cells | measured(explanation, truth, explainer.ensemble.classes)))
    return row, panels(image, truth, explanation, row)


def _sheet_file(output: Path, name: str) -> Path:
    safe = re.sub(r"[^\w-]+", "_", name)
    return output / f"{safe}.png"


def _summarised(rows: Sequence[Row], sheets: dict[str, list[Panels]], output: Path, say: Callable[[str], None]) -> int:
    failed = [row for row in rows if row.error]
    say("Mean share of the activation inside the lesion, by class:")
    for line in summary(rows):
        say(f"  {line}")
    say(f"{len(rows) - len(failed)} of {len(rows)} explained: {shown(output / FILE)}")
    for name, pictures in sorted(sheets.items()):
        count = sum(row.sheet == name and not row.error for row in rows)
        some = f"the first {len(pictures)} of {count} cases" if count > len(pictures) else f"cases: {count}"
        say(f"  {shown(_sheet_file(output, name))}, {some}")
    for row in failed:
        say(f"not explained: {row.case}: {row.error}")
    return int(bool(failed))

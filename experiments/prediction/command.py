"""What ``python -m experiments.predict`` does, once its options are read."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from experiments.console.display import shown
from experiments.console.interruption import Interruption
from experiments.prediction.cascaded import notes_on, open_for_images, uncut
from experiments.prediction.ensemble import Ensemble, Inference
from experiments.prediction.images.flow import Flow, Wishes
from experiments.prediction.images.progress import FolderProgress
from experiments.prediction.images.sources import Source, find_images
from experiments.prediction.images.table import FILE, Row
from experiments.prediction.images.truth import TrueMasks
from experiments.prediction.preparation import reader_of
from experiments.prediction.selection import Selection, select_runs
from experiments.prediction.threshold import DEFAULT, Threshold, validation_threshold
from experiments.training.evaluation import NotFiniteError
from utils.errors import Problem, UserError
from utils.metrics import mean_over_cases

_ON_CPU, _ON_GPU = 4, 16
"""Images in a batch."""
_VERIFIED_ON = 8
"""Images that an export is compared with PyTorch on, of those that are named."""
_SAVED_EVERY = 5.0
"""Seconds between two writings of the table while images are predicted."""


def predict(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    """Predicts the images that `options` name, or exports the ensemble; the exit code.

    options: those of ``experiments.predict``. Returns 1 if an image could not be predicted. Raises UserError.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    selection = select_runs(options.results, options.sweep, options.run, options.top)
    ensemble = open_for_images(selection, device_named(options.device), options.results)
    say(f"{len(ensemble.members)} networks of {selection.sweep}: {_members(selection)}")
    for note in (*selection.notes, *notes_on(ensemble)):
        say(note)
    output = options.output or _default_output(options)
    make_output(output)
    reader = reader_of(uncut(selection, options.results))
    if options.export:
        from experiments.prediction.export import export_ensemble  # only then its libraries are asked for

        named = find_images(options.image, output).sources if options.image else ()
        pictures = [_read(reader, source) for source in named[:_VERIFIED_ON]]
        path = export_ensemble(ensemble, selection, options.export, output, pictures)
        say(f"Exported: {shown(path)}")
        return 0
    images = find_images(options.image, output)
    if images.left_out:
        say(f"{images.left_out} files are masks of images beside them, and no images")
    inference = Inference(options.size, options.tta, options.clahe, options.amp)
    threshold = _threshold(options, selection, ensemble, inference, say)
    batch_size = options.batch_size or (_ON_CPU if ensemble.device.type == "cpu" else _ON_GPU)
    wishes = Wishes(inference, threshold.value, options.min_area, options.write, batch_size)
    flow = Flow(ensemble, wishes, output, TrueMasks(options.masks), reader)
    flow.known = flow.table.read(output)
    try:
        rows = predict_folder(flow, images.sources, console, interruption)
    except NotFiniteError as error:
        raise UserError(Problem("--run", f"{error}; choose another one")) from error
    return _summarised(rows, images.sources, selection, options.results, output, say)


def predict_folder(
    flow: Flow, sources: tuple[Source, ...], console: Console, interruption: Interruption
) -> dict[str, Row]:
    """Name -> row of every image. The table in the folder is kept current, and says more where more was known."""
    rows, made = dict(flow.known), {}
    saved = time.monotonic()
    threads = max(1, min(os.cpu_count() or 1, 16))
    interruption.deferred = True  # a signal between two writes would leave one of them half done
    try:
        with FolderProgress(console, len(sources)) as progress:
            for row in flow.run(sources, threads, interruption.check):
                rows[row["image"]] = made[row["image"]] = row
                progress.advance(new=row is not flow.known.get(row["image"]))
                if time.monotonic() - saved > _SAVED_EVERY:
                    flow.table.write(flow.output, rows)
                    saved = time.monotonic()
    finally:
        interruption.deferred = False
        flow.table.write(flow.output, rows)
    return made


def device_named(name: str) -> torch.device:
    """``auto``, the best there is; ``cpu``, ``cuda:1``, ``mps``; or the number of a GPU. Raises UserError."""
    gpus = tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    if name == "auto":
        return torch.device((*gpus, *mps, "cpu")[0])
    wanted = f"cuda:{name}" if name.isdecimal() else {"cuda": "cuda:0"}.get(name, name)
    if wanted not in ("cpu", *gpus, *mps):
        raise UserError(Problem("--device", "no such device here", value=name, choices=("auto", "cpu", *gpus, *mps)))
    return torch.device(wanted)


def make_output(folder: Path) -> None:
    """Makes the folder that results go to, before anything is computed. Raises UserError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(Problem("--output", f"cannot be made: {error.strerror}", value=str(folder))) from None


def _read(reader: Callable[[Path], np.ndarray], source: Source) -> np.ndarray:
    try:
        return reader(source.path)
    except OSError as error:
        raise UserError(Problem("--image", str(error))) from None


def _default_output(options: argparse.Namespace) -> Path:
    return Path(options.results) / "predictions" / options.sweep


def _members(selection: Selection) -> str:
    folds: dict[str, list[str]] = {}
    for run in selection.runs:
        folds.setdefault(run.record.configuration, []).append(str(run.record.fold))
    return "; ".join(f"{configuration}, folds {', '.join(each)}" for configuration, each in folds.items())


def _threshold(
    options: argparse.Namespace,
    selection: Selection,
    ensemble: Ensemble,
    inference: Inference,
    say: Callable[[str], None],
) -> Threshold:
    if options.threshold != "validation":
        return Threshold(DEFAULT if options.threshold is None else options.threshold)
    found = validation_threshold(selection.runs, ensemble, inference, options.results)
    say(
        f"Threshold {found.value:g}, mean Dice {found.dice:.4f} over {found.cases} validation cases, "
        "each answered by the network that was validated on it"
    )
    return found


def _summarised(
    rows: dict[str, Row],
    sources: tuple[Source, ...],
    selection: Selection,
    results: Path,
    output: Path,
    say: Callable[[str], None],
) -> int:
    failed = [rows[source.name] for source in sources if rows[source.name]["error"]]
    scores = [float(row["dice"]) for row in rows.values() if row.get("dice")]
    say(f"{len(sources) - len(failed)} of {len(sources)} images predicted: {shown(output / FILE)}")
    if scores:
        say(f"Mean Dice {mean_over_cases(scores):.4f} over {len(scores)} images with a true lesion")
        if known := trained_on(sources, selection, results):
            say(
                f"{known} of the images lie in the folder of the sweep's own data, which most members were trained on: "
                "these numbers flatter; those to believe are in the leaderboard"
            )
    for row in failed:
        say(f"not predicted: {row['image']}: {row['error']}")
    return int(bool(failed))


def trained_on(sources: tuple[Source, ...], selection: Selection, results: Path) -> int:
    """How many images lie in a folder that a member was trained on, or a stage before it."""
    stages = [*(run.settings for run in selection.runs), uncut(selection, results)]
    roots = {stage.dataset.root for stage in stages} - {None}
    folders = [root.resolve() for root in roots if root is not None]
    return sum(any(source.path.resolve().is_relative_to(folder) for folder in folders) for source in sources)

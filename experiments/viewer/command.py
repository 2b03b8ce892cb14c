"""What ``python -m experiments.view`` does, once its options are read."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from experiments.console.display import shown
from experiments.console.interruption import Interruption
from experiments.prediction import select_runs
from experiments.prediction.cascaded import notes_on, open_for_images, uncut
from experiments.prediction.command import device_named, make_output, trained_on
from experiments.prediction.images.files import write_sheet
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from experiments.prediction.preparation import reader_of
from experiments.training.evaluation import NotFiniteError
from experiments.viewer.contact import FILE, MOST, contact_sheet
from experiments.viewer.desk import Desk
from experiments.viewer.state import help_text
from experiments.viewer.window import look, obstacle
from utils.errors import Problem, UserError


def view(options: argparse.Namespace, console: Console, interruption: Interruption) -> int:
    """Opens the window or, where there can be none, writes a contact sheet; 0. Raises UserError.

    options: those of ``experiments.view``.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    selection = select_runs(options.results, options.sweep, options.run, options.top)
    for note in selection.notes:
        say(note)
    output = options.output or Path(options.results) / "views" / options.sweep
    make_output(output)
    sources = find_images(options.image, output).sources
    if known := trained_on(sources, selection, options.results):
        say(f"{known} of the images lie in the folder of the sweep's own data: most of the networks have seen them")
    ensemble = open_for_images(selection, device_named(options.device), options.results)
    for note in notes_on(ensemble):
        say(note)
    desk = Desk(ensemble, sources, TrueMasks(options.masks), reader_of(uncut(selection, options.results)))
    reason = "--contact-sheet was given" if options.contact_sheet else obstacle()
    try:
        if not reason:
            say(f"Keys:\n{help_text()}")
            look(desk, output, say, interruption.check)
            return 0
        say(reason)
        path = output / FILE
        write_sheet(path, contact_sheet(desk, interruption.check))
    except NotFiniteError as error:
        raise UserError(Problem("--run", f"{error}; choose another one")) from error
    some = f" with the first {MOST} of {len(sources)} images" if len(sources) > MOST else ""
    say(f"A contact sheet instead{some}: {shown(path)}")
    return 0

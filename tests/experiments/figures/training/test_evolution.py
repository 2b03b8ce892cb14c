from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.figures import CannotDrawError
from experiments.figures.figure import Animation
from experiments.figures.training.evolution import MOST_FRAMES, _frames_of, evolution, runs_with_snapshots
from experiments.figures.training.learning_curves import read_epochs


@pytest.mark.slow
def test_an_animation_has_a_frame_for_each_snapshot(gallery: Any) -> None:
    [figure, _] = [figure for figure in gallery.drawn.figures if figure.gif is not None]
    with Image.open(figure.gif) as image:
        assert image.n_frames == 2 and image.info["loop"] == 0
        first = np.asarray(image.convert("RGB"), dtype=int)
        image.seek(1)
        last = np.asarray(image.convert("RGB"), dtype=int)
    assert np.abs(first - last).max() > 50


def test_colours_of_the_first_frame_outlive_the_palette(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("#d55e00", "#56b4e9", "#009e73")]
    figure = Animation("colours", "Colours", "Three colours.", frames).save(tmp_path)
    assert figure.gif is not None
    with Image.open(figure.gif) as image:
        for number, expected in enumerate(frames):
            image.seek(number)
            found = np.asarray(image.convert("RGB"), dtype=int)
            assert np.abs(found - np.asarray(expected, dtype=int)).max() <= 4


def test_of_each_tied_row_the_first_fold_with_snapshots_is_shown(bench: Any) -> None:
    data = bench.sweep({"a1": 0.82, "b2": 0.81})
    (data.folder("a1", 0) / "snapshots.npz").unlink()
    assert [(line.entry.id, fold) for line, fold in runs_with_snapshots(data)] == [("a1", 1), ("b2", 0)]


def test_snapshots_that_cannot_be_read_are_named(bench: Any) -> None:
    data = bench.sweep({"a1": 0.82})
    (data.folder("a1", 0) / "snapshots.npz").write_bytes(b"PK but no archive")
    with pytest.warns(UserWarning, match="cannot be read"), pytest.raises(CannotDrawError, match=r"snapshots\.npz"):
        evolution(data, data.best(), 0)


@pytest.mark.parametrize("epochs", [1, 2, MOST_FRAMES, 200])
def test_the_first_and_the_last_epoch_are_always_among_the_frames(epochs: int) -> None:
    frames = _frames_of(epochs)
    assert frames[0] == 0 and frames[-1] == epochs - 1 and len(frames) == min(epochs, MOST_FRAMES)


def test_an_empty_table_of_epochs_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "epochs.csv"
    path.write_text("epoch,train_loss\n")
    assert read_epochs(path) == {}
    path.write_text("epoch,train_loss\n1,\n2,0.5\n")
    assert np.isnan(read_epochs(path)["train_loss"][0]) and read_epochs(path)["train_loss"][1] == 0.5

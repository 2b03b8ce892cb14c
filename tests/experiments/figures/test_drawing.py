"""Every figure of a small sweep, as the files that it became."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.figures import CannotDrawError, draw_figures, overlay_sheet
from experiments.figures.drawing import CHARTS
from experiments.figures.style import styled

NAMED = ("leaderboard", "critical_difference", "cost", "dice_histogram", "learning_curves")
"""Figures that name several configurations."""


def test_every_figure_is_drawn_in_its_order(gallery: Any) -> None:
    names = [figure.name for figure in gallery.drawn.figures]
    assert names[: len(CHARTS)] == list(CHARTS)
    assert names[len(CHARTS) :] == ["evolution_a1_fold-0", "evolution_b2_fold-0"]
    assert gallery.drawn.omitted == []


def test_pictures_are_as_wide_as_a_column_and_not_blank(gallery: Any) -> None:
    for figure in gallery.drawn.figures:
        with Image.open(figure.png) as image:
            pixels = np.asarray(image.convert("L"))
        if figure.svg is not None:
            assert pixels.shape[1] == 960, figure.name
        assert pixels.min() < 100 < 250 < pixels.max(), figure.name
        assert (pixels[:3] > 250).mean() > 0.9 and (pixels[-2:] > 250).mean() > 0.9, f"{figure.name} runs off its edge"


def test_vector_pictures_hold_their_words_as_text(gallery: Any) -> None:
    for figure in gallery.drawn.figures:
        if figure.svg is None:
            continue
        root = ElementTree.parse(figure.svg).getroot()
        words = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
        assert words.strip(), figure.name
        if figure.name in NAMED:
            assert "resnet18 <&> $x_1$" in words and "efficientnet-b0" in words, figure.name


def test_captions_are_one_sentence(gallery: Any) -> None:
    for figure in gallery.drawn.figures:
        assert figure.title and figure.caption.endswith("."), figure.name
        assert ". " not in figure.caption.replace("e. g.", ""), figure.name


@pytest.mark.parametrize("name", ["leaderboard", "confusion"])
def test_a_chart_drawn_again_is_the_same_to_the_byte(gallery: Any, tmp_path: Path, name: str) -> None:
    [first] = [figure for figure in gallery.drawn.figures if figure.name == name]
    with styled(name):
        second = CHARTS[name](gallery.data).save(tmp_path)
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.slow
def test_drawing_everything_again_gives_the_same_bytes(gallery: Any, tmp_path: Path) -> None:
    again = draw_figures(gallery.data, tmp_path / "again")
    for first, second in zip(gallery.drawn.figures, again.figures, strict=True):
        for one, other in zip(first.files, second.files, strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name


def test_progress_is_told_to_the_end(bench: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    data = bench.sweep({"a1": 0.8}, failed=["a1"])
    draw_figures(data, tmp_path / "figures", lambda done, total: told.append((done, total)))
    assert told == [(done, len(CHARTS)) for done in range(1, len(CHARTS) + 1)]


def test_a_sweep_without_a_result_has_no_figure_and_says_why(bench: Any, tmp_path: Path) -> None:
    drawn = draw_figures(bench.sweep({"a1": 0.8}, failed=["a1"]), tmp_path / "figures")
    assert drawn.figures == []
    assert {omitted.name for omitted in drawn.omitted} == {*CHARTS, "evolution"}
    reasons = {omitted.reason for omitted in drawn.omitted if omitted.name != "slot_time"}
    assert all("finished all its folds" in reason for reason in reasons)


def test_figures_of_an_earlier_state_are_removed_and_nothing_else(bench: Any, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("roc.png", "roc.svg", "evolution_old_fold-1.gif", "mine.png", "notes.txt"):
        (folder / name).write_text("old")
    draw_figures(bench.sweep({"a1": 0.8}, failed=["a1"]), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["mine.png", "notes.txt"]


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"diagnosis": False}, "confusion", "no classification head"),
        ({"diagnosis": False}, "roc", "no classification head"),
        ({"diagnosis": False}, "precision_recall", "no classification head"),
        ({"diagnosis": False}, "reliability", "no classification head"),
        ({"trained": False}, "overlays", "images of the data set"),
        ({"trained": False}, "score_by_size", "images of the data set"),
        ({}, "critical_difference", "3 complete configurations"),
        ({}, "slot_time", "no session"),
        ({"objective": "auroc", "folds": 1}, "critical_difference", "3 complete configurations"),
    ],
)
def test_what_is_missing_is_said(bench: Any, changes: dict[str, Any], name: str, reason: str) -> None:
    data = bench.sweep({"a1": 0.8, "b2": 0.7}, **changes)
    with pytest.raises(CannotDrawError, match=reason):
        CHARTS[name](data)


def test_one_fold_has_no_folds_to_rank_by(bench: Any) -> None:
    data = bench.sweep({"a1": 0.8, "b2": 0.7, "c3": 0.6}, objective="auroc", folds=1)
    with pytest.raises(CannotDrawError, match="in common"):
        CHARTS["critical_difference"](data)


def test_a_checkpoint_that_is_gone_is_named(bench: Any) -> None:
    data = bench.sweep({"a1": 0.8, "b2": 0.7})
    for fold in range(3):
        (data.folder("a1", fold) / "best.pt").unlink()
    with pytest.raises(CannotDrawError, match=r"a1 has no best\.pt"):
        CHARTS["overlays"](data)


def test_a_single_configuration_costs_nothing_in_comparison(bench: Any) -> None:
    with pytest.raises(CannotDrawError, match="nothing to be compared"):
        CHARTS["cost"](bench.sweep({"a1": 0.8}))


@pytest.mark.slow
def test_a_sheet_of_overlays_is_made_for_any_configuration(bench: Any, tmp_path: Path) -> None:
    data = bench.sweep({"a1": 0.8, "b2": 0.7}, failed=["a1"])
    sheet = overlay_sheet(data, "b2", tmp_path)
    assert sheet.png.name == "overlays_b2.png" and sheet.png.stat().st_size > 5_000
    with pytest.raises(CannotDrawError, match="has not finished"):
        overlay_sheet(data, "a1", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("configurations", [1, 24, 200])
def test_tables_of_any_length_are_drawn(bench: Any, tmp_path: Path, configurations: int) -> None:
    skills = {f"{number:012x}": 0.4 + 0.4 * number / configurations for number in range(configurations)}
    names = {id: f"a-very-long-encoder-name-{id}, unetplusplus, lr 0.{id[-3:]}" for id in skills}
    drawn = draw_figures(bench.sweep(skills, names), tmp_path / "figures")
    missing = {"slot_time"} | ({"cost", "critical_difference"} if configurations == 1 else set())
    assert {omitted.name for omitted in drawn.omitted} == missing
    with Image.open(drawn.figures[0].png) as image:
        assert image.width == 960 and image.height < 2_200

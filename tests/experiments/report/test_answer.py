"""The answer in one sentence, for every shape that a leaderboard can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from experiments.report.answer import answer
from experiments.report.scoreboard import Scoreboard

Board = Callable[..., Scoreboard]


def said(board: Scoreboard, **more: Any) -> str:
    return answer(board, **{"runs": 6, "ended": 6, **more}).sentence


def test_the_leader_its_ties_and_the_cheapest_of_them_are_named(board: Board) -> None:
    table = board(
        ("b3", 0.812, {"params_millions": 12.0, "dice_ci_low": 0.79, "dice_ci_high": 0.834}),
        ("b2", 0.80, {"tied": True, "params_millions": 9.0}),
        ("resnet50", 0.79, {"tied": True, "params_millions": 7.5}),
        ("tiny", 0.5, {"params_millions": 0.5}),
    )
    assert said(table) == (
        "b3 leads with a Dice of 0.812 (95 % interval 0.790 to 0.834); b2 and resnet50 are tied with it; "
        "the cheapest of the tie is resnet50."
    )


def test_a_leader_without_ties_is_better_than_all_others(board: Board) -> None:
    assert said(board(("a", 0.8, {}), ("b", 0.5, {}))) == (
        "a leads with a Dice of 0.800; b, the only other one, is worse than it beyond chance."
    )
    three = board(("a", 0.8, {}), ("b", 0.5, {}), ("c", 0.4, {}))
    assert said(three) == "a leads with a Dice of 0.800; all 2 others are worse than it beyond chance."


def test_many_ties_are_counted_and_not_listed(board: Board) -> None:
    rows = [(f"n{number}", 0.9 - number / 100, {"tied": number < 18}) for number in range(20)]
    assert "n1, n2, n3, n4, n5 and 12 others are tied with it." in said(board(*rows))
    assert "; none of the 17 others can be told apart from it." in said(board(*rows[:18]))


@pytest.mark.parametrize(
    ("metric", "phrase"), [("hd95", "an HD95 of 4.00"), ("auroc", "an AUROC of"), ("macro_f1", "a Macro F1 of")]
)
def test_a_metric_has_its_article(board: Board, metric: str, phrase: str) -> None:
    assert phrase in said(board(("only", 4.0 if metric == "hd95" else 0.5, {}), objective=metric))


def test_one_configuration_has_nothing_to_lead(board: Board) -> None:
    assert said(board(("resnet18", 0.5, {}))) == "resnet18, the only configuration, reaches a Dice of 0.500."
    left = answer(board(("resnet18", 0.5, {}), ("vgg", None, {"status": "failed"})), runs=2, ended=2)
    assert left.sentence == "resnet18 is the only configuration with a rank: a Dice of 0.500."
    assert left.caveats == ("vgg failed on at least one fold and has no rank.",)


def test_an_incomplete_sweep_answers_so_far(board: Board) -> None:
    found = answer(board(("a", 0.8, {}), ("b", None, {"status": "pending"})), runs=6, ended=4, undrawn=1)
    assert found.sentence == "So far, a is the only configuration with a rank: a Dice of 0.800."
    expected = "The sweep is not complete: 4 of 6 runs have ended, and 1 configuration is still to be drawn."
    assert found.caveats == (expected,)
    assert said(board(("a", None, {"status": "pending"})), ended=1) == (
        "There is no answer yet: no configuration is complete."
    )


def test_a_sweep_without_a_ranked_row_says_why(board: Board) -> None:
    failed = {"status": "failed"}
    table = board(("a", None, failed), ("b", None, failed))
    assert said(table) == "There is no answer: every configuration failed."
    empty = answer(board(("a", None, {})), runs=1, ended=1)
    assert empty.sentence == "There is no answer: Dice is not defined for any complete configuration."


def test_generated_images_are_named_before_anything_else(board: Board) -> None:
    found = answer(board(("a", 0.8, {})), runs=3, ended=2, generated=True)
    assert found.caveats[0] == "The images are generated: the numbers say nothing about real images."


def test_what_a_budget_leaves_undecided_is_counted(board: Board) -> None:
    table = board(("a", 0.8, {}), ("b", None, {"status": "pending"}), ("c", None, {"status": "running"}))
    _, undecided = answer(table, runs=6, ended=3, budget="8 hours").caveats
    assert undecided == "Undecided within the budget of 8 hours: 2 configurations, which have not run on every fold."
    assert len(answer(table, runs=6, ended=3).caveats) == 1
    assert answer(board(("a", 0.8, {})), runs=2, ended=2, budget="8 hours").caveats == ()

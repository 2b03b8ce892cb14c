"""The answer to a sweep's question in one sentence, and what must be known beside it to read that rightly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.opened import OpenedSweep
from experiments.report.scoreboard import Scoreboard, ScoreRow, scoreboard_of
from experiments.report.wording import counted, listed, metric_number, metric_title

# Data sets whose images are made and not taken: what is found on them says nothing about patients.
GENERATED = {"phantom"}


@dataclass(frozen=True)
class Answer:
    """sentence: who leads, and who is tied. caveats: sentences that limit it, the gravest first."""

    sentence: str
    caveats: tuple[str, ...] = ()


def answer_of(opened: OpenedSweep) -> Answer:
    """The answer of a sweep as it stands."""
    return answer(
        scoreboard_of(opened.leaderboard),
        runs=opened.expected,
        ended=len(opened.records),
        undrawn=opened.undrawn,
        generated=any(source.name in GENERATED for source in opened.found.sources),
        budget=opened.sweep.search.budget.words,
    )


def answer(
    board: Scoreboard, *, runs: int, ended: int, undrawn: int = 0, generated: bool = False, budget: str = ""
) -> Answer:
    """The answer that a leaderboard gives.

    runs, ended: how many runs the sweep has, and has records of. undrawn: configurations that a search has still to
    draw. generated: whether the images are generated ones, which say nothing about real images. budget: its limits in
    words, '' without any.
    """
    unfinished = undrawn > 0 or ended < runs
    caveats = []
    if generated:
        caveats.append("The images are generated: the numbers say nothing about real images.")
    if unfinished:
        caveats.append(_progress(runs, ended, undrawn))
    undecided = [row for row in board.rows if row.status in ("pending", "running")]
    if budget and undecided:
        has = "has" if len(undecided) == 1 else "have"
        left = f"{counted(len(undecided), 'configuration')}, which {has} not run on every fold"
        caveats.append(f"Undecided within the budget of {budget}: {left}.")
    if failed := [row.name for row in board.rows if row.status == "failed"]:
        verb = "has" if len(failed) == 1 else "have"
        caveats.append(f"{listed(failed)} failed on at least one fold and {verb} no rank.")
    if stopped := [row.name for row in board.rows if row.status == "raced_out"]:
        caveats.append(f"{listed(stopped)} could no longer win and {'was' if len(stopped) == 1 else 'were'} stopped.")
    undefined = [row.name for row in board.rows if row.status == "complete" and not row.ranked]
    if undefined and board.ranked:
        caveats.append(f"{listed(undefined)} cannot be ranked: {metric_title(board.objective)} is not defined there.")
    return Answer(_sentence(board, unfinished), tuple(caveats))


def _sentence(board: Scoreboard, unfinished: bool) -> str:
    if not board.ranked:
        return _no_answer(board, unfinished)
    best, others = board.ranked[0], board.ranked[1:]
    score = f"{best.name} leads with {scored(board, best)}"
    if not others:
        if len(board.rows) == 1:
            text = f"{best.name}, the only configuration, reaches {scored(board, best)}"
        else:
            text = f"{best.name} is the only configuration with a rank: {scored(board, best)}"
    elif not board.tied:
        text = f"{score}; {_all_others(others)} worse than it beyond chance"
    else:
        text = f"{score}; {_ties(board.tied, others)}{_cheapest((best, *board.tied))}"
    return f"{'So far, ' if unfinished else ''}{text}."


def scored(board: Scoreboard, row: ScoreRow) -> str:
    """A row's objective with its interval: ``a Dice of 0.322 (95 % interval 0.277 to 0.369)``."""
    name = board.objective
    title = metric_title(name)
    text = f"{_article(title)} {title} of {metric_number(name, row.number(f'{name}_mean'))}"
    low, high = row.number(f"{name}_ci_low"), row.number(f"{name}_ci_high")
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} (95 % interval {metric_number(name, low)} to {metric_number(name, high)})"


def _article(title: str) -> str:
    """``an`` before AUROC, NSD and HD95, whose first letters are spoken, and before vowels."""
    return "an" if title[0] in ("AEFHILMNORSX" if title[1:2].isupper() else "AEIOU") else "a"


def _no_answer(board: Scoreboard, unfinished: bool) -> str:
    if unfinished:
        return "There is no answer yet: no configuration is complete."
    if all(row.status == "failed" for row in board.rows):
        return "There is no answer: every configuration failed."
    return f"There is no answer: {metric_title(board.objective)} is not defined for any complete configuration."


def _all_others(others: Sequence[ScoreRow]) -> str:
    if len(others) == 1:
        return f"{others[0].name}, the only other one, is"
    return f"all {len(others)} others are"


def _ties(tied: Sequence[ScoreRow], others: Sequence[ScoreRow]) -> str:
    if len(tied) == len(others) > 5:
        return f"none of the {len(others)} others can be told apart from it"
    return f"{listed([row.name for row in tied])} {'is' if len(tied) == 1 else 'are'} tied with it"


def _cheapest(tie: Sequence[ScoreRow]) -> str:
    """Among equals the fewest parameters, the rule by which another sweep takes the winner of this one."""
    sized = [row for row in tie if not math.isnan(row.number("params_millions"))]
    if not sized:
        return ""
    return f"; the cheapest of the tie is {min(sized, key=lambda row: row.number('params_millions')).name}"


def _progress(runs: int, ended: int, undrawn: int) -> str:
    text = f"The sweep is not complete: {ended} of {counted(runs, 'run')} {'has' if ended == 1 else 'have'} ended"
    if undrawn:
        text += f", and {counted(undrawn, 'configuration')} {'is' if undrawn == 1 else 'are'} still to be drawn"
    return text + "."

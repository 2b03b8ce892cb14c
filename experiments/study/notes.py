"""The note of a trial, in Markdown: what the leaderboard says of its configuration, for those who look at the study."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.leaderboard.entry import cell
from experiments.leaderboard.leaderboard import Leaderboard, Line


def note_of(leaderboard: Leaderboard, line: Line) -> str:
    """The note of one line: its place, score, settings and failures. Holds no times: equal ledgers, equal notes."""
    parts = [
        f"### {_escaped(line.entry.name)}",
        _place(line),
        *_score(leaderboard, line),
        *_settings(leaderboard, line),
    ]
    for title, sentences in (("Failures", _failures(line)), ("Adjustments", _adjustments(line))):
        found = list(sentences)
        if found:
            parts.append("\n".join([f"**{title}**", "", *(f"- {_escaped(sentence)}" for sentence in found)]))
    return "\n\n".join(parts) + "\n"


def _place(line: Line) -> str:
    if line.rank is None:
        return f"Not ranked: {line.status.replace('_', ' ')}."
    if line.rank == 1:
        return "**Rank 1**"
    return f"**Rank {line.rank}**, " + ("tied with the best" if line.tied else "not tied with the best")


def _score(leaderboard: Leaderboard, line: Line) -> Iterator[str]:
    """The objective: with its interval where all folds are done, else fold by fold."""
    folds = f"{len(line.finished)} of {len(line.entry.folds)} folds"
    if line.summary is not None:
        score = line.summary.scores[leaderboard.objective]
        spread = f", 95 % interval {score.low:.4f} to {score.high:.4f}"
        yield f"{leaderboard.objective} {score.mean:.4f}{spread} ({folds})"
    elif line.finished:
        values = ((record.fold, record.metrics.get(leaderboard.objective)) for record in line.finished)
        by_fold = (f"fold {fold}: " + ("undefined" if value is None else f"{value:.4f}") for fold, value in values)
        yield f"{leaderboard.objective} {', '.join(by_fold)} ({folds})"


def _settings(leaderboard: Leaderboard, line: Line) -> Iterator[str]:
    found = [(key, line.entry.varied[key]) for key in leaderboard.varied if line.entry.varied.get(key) is not None]
    if found:
        rows = [f"| {_escaped(key)} | {_escaped(cell(value))} |" for key, value in found]
        yield "\n".join(["| setting | value |", "| --- | --- |", *rows])


def _failures(line: Line) -> Iterator[str]:
    for record in line.records:
        if record is not None and record.status == "failed":
            yield f"fold {record.fold}: {record.error}"


def _adjustments(line: Line) -> Iterator[str]:
    for record in line.finished:
        for adjustment in record.adjustments:
            yield f"fold {record.fold}: {adjustment}"


def _escaped(text: str) -> str:
    """As text that Markdown shows as it is, on one line."""
    for mark in "\\`*_{}[]<>#|~":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

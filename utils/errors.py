"""Errors that a user can cause, as values: collected, shown all at once, exit code 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that the user has to mend.

    where: the key (``training.lr``) or the file that is wrong.
    message: what is wrong with it, and what to do about it.
    source: ``file:line`` where the key stands, if it came from a file.
    value: the offending value as the user wrote it, or None where there is none.
    nearest: the valid name that was probably meant.
    choices: every valid name, where there is a finite list.
    """

    where: str
    message: str
    source: str = ""
    value: object = None
    nearest: str = ""
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.where} ({self.source})" if self.source else self.where
        text = f"{place}: {self.message}"
        if self.value is not None:
            text += f"; got {self.value!r}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        if self.choices:
            text += f"{'' if self.nearest else '.'} Valid: {_listed(self.choices)}."
        return text


class UserError(Exception):
    """Raised with every problem found so far; the command line prints them and exits with 2."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    # Exceptions are pickled by their args, which hold the text; workers need the problems back.
    def __reduce__(self) -> tuple[type[UserError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def shortened(problems: Sequence[Problem], most: int = 20) -> list[Problem]:
    """The first problems, and one that counts the others: what is wrong with a thousand files is not read."""
    if len(problems) <= most:
        return list(problems)
    others = f"the first of {len(problems) - most} more problems of this kind"
    return [*problems[:most], Problem(problems[most].where, others)]


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice most like `name`, or '' when none is near enough to be worth suggesting."""
    matches = difflib.get_close_matches(str(name), list(choices), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def _listed(choices: Sequence[str], limit: int = 30) -> str:
    """Up to `limit` names; a list of 800 encoders helps nobody on one screen."""
    shown = ", ".join(choices[:limit])
    return shown if len(choices) <= limit else f"{shown}, ... ({len(choices)} in all)"

"""What is drawn next from a space: Optuna's samplers by ask and tell, on a study that is made anew for every question.

So an answer depends on what was drawn before and what it came to, and on nothing that a process could lose.
Random: Bergstra & Bengio 2012. TPE: the tree-structured Parzen estimator, Bergstra et al. 2011; multivariate and by
groups of keys that are drawn together, so that conditional keys are learnt from where they were drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from experiments.study.distributions import distribution_of, parameter, parameters_of
from experiments.sweep import Dimension, Space

_STARTUP_SHARE = 4
_STARTUP_LIMITS = (3, 10)


@dataclass(frozen=True)
class Draw:
    """An earlier draw and what it came to.

    value: the objective, the mean over its folds; None if it has none. running: whether it may still get one.
    """

    drawn: dict[str, Any]
    value: float | None = None
    running: bool = False


def draw(
    space: Space, template: int, past: Sequence[Draw], direction: Literal["max", "min"], seed: int, blind: bool = False
) -> dict[str, Any]:
    """The next draw for a template: dotted key -> value for every key whose conditions hold.

    past: the earlier draws of the template, in their order. blind: whether to draw at random whatever
    the sampler. Equal arguments give equal draws.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        sampler = _sampler("random" if blind else space.sampler, startup_of(space.samples), seed % 2**32)
        study = optuna.create_study(sampler=sampler, direction="maximize" if direction == "max" else "minimize")
        if isinstance(sampler, TPESampler):
            study.add_trials([_trial(space, each) for each in past])
        trial = study.ask()

        return space.walk(template, lambda dimension: _suggested(trial, dimension))


def startup_of(samples: int) -> int:
    """How many of the first draws are random: a quarter, within bounds."""
    low, high = _STARTUP_LIMITS
    return min(max(samples // _STARTUP_SHARE, low), high)


def _sampler(name: Literal["tpe", "random"], startup: int, seed: int) -> BaseSampler:
    if name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(
        n_startup_trials=startup,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=seed,
    )


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Any:
    """A value of the dimension, as the trial's sampler would have it."""
    key, low, high = dimension.key, dimension.low, dimension.high
    if dimension.kind == "int":
        return trial.suggest_int(key, int(low), int(high), step=dimension.step, log=dimension.log)
    if dimension.kind != "choice":
        return trial.suggest_float(key, low, high, log=dimension.log)
    chosen = trial.suggest_categorical(key, [parameter(value) for value in dimension.values])
    return next(value for value in dimension.values if parameter(value) == chosen)


def _trial(space: Space, past: Draw) -> optuna.trial.FrozenTrial:
    ended = TrialState.FAIL if past.value is None else TrialState.COMPLETE
    state = TrialState.RUNNING if past.running else ended
    return create_trial(
        state=state,
        value=past.value if state is TrialState.COMPLETE else None,
        params=parameters_of(past.drawn),
        distributions={each.key: distribution_of(each) for each in space.dimensions if each.key in past.drawn},
    )

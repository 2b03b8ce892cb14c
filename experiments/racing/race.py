"""The race of configurations over folds: who runs next, and who has been stopped.

All run fold 0. Then the pilots, the best of them, run fold 1: now the noise of training can be estimated, and the
decision after fold 0 is taken. Who is left runs fold 1, then comes the decision after fold 1, and so on. The one after
fold i compares all that entered the round on exactly the folds 0 to i. So what a race decides is a function of what
the runs came to, never of the order in which they ended: it is worked out anew when a configuration fails, and
whoever was stopped because of it runs again.

Confidence saves little where many are nearly as good. Who wants one of the best, and not to know who is worse, has
successive halving (Jamieson, Talwalkar 2016) beside it, of folds and, in fold 0, of epochs: only a share of those that
ran a fold runs the next, and at rungs the worse part is stopped by its validation scores. Later folds have no rungs: a
configuration has test scores by then, which say more than a handful of validation cases. Asynchronous halving (Li et
al. 2020) would decide by who came first; this one waits until all have reached the rung.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import numpy as np

from experiments.racing.bound import FoldTable, Noise, leads_of, noise_of
from experiments.racing.rules import DEFAULT, FoldScores, Rules, Run, Stop, pilots_of


class Race:
    """One race.

    configurations: their ids; equals run in this order. folds: how many each has to run. rungs: epochs of fold 0,
    ascending, after which `Rules.rung_share` of them go on.
    """

    def __init__(
        self, configurations: Sequence[str], folds: int, rules: Rules = DEFAULT, rungs: Sequence[int] = ()
    ) -> None:
        self.configurations, self.folds, self.rules = tuple(configurations), folds, rules
        self.rungs = tuple(rungs) if rules.rung_share < 1 else ()
        self._results: dict[Run, FoldScores] = {}
        self._reached: dict[tuple[str, int], float] = {}
        self._promises: dict[str, float] = {}
        self.stage = 0
        """Rises with every stage."""
        self.entered: list[str] = []
        """Configurations of which something has ended, in that order."""
        self._failed: set[str] = set()
        self._begin()

    def enter(self, run: Run, scores: FoldScores | None) -> None:
        """A run has ended; None for one that failed, which fails its configuration."""
        configuration, _ = run
        self.entered.append(configuration)
        if scores is None:
            if configuration not in self._failed:
                self._failed.add(configuration)
                self._begin()
            return
        self._results[run] = scores
        if configuration in self._promises:
            self._promises[configuration] = self._promise(configuration)
        if self.until is None:
            self._missing.pop(run, None)
        self._go_on()

    def reach(self, configuration: str, rung: int, value: float) -> None:
        """A run of fold 0 has passed a rung, or ended before it. value: its best validation score by then, larger is
        better; NaN if undefined.
        """
        self.entered.append(configuration)
        self._reached[configuration, rung] = value
        if configuration in self._promises:
            self._promises[configuration] = self._promise(configuration)
        if self.until == rung:
            self._missing.pop((configuration, 0), None)
        self._go_on()

    @property
    def wanted(self) -> Iterable[Run]:
        """The runs that the next decision waits for: that have not ended, or not come as far as `until`.

        The most promising first.
        """
        return self._missing.keys()

    @property
    def until(self) -> int | None:
        """After which epoch the wanted runs pause; None if they go on to their end."""
        return self._rung

    @property
    def over(self) -> bool:
        """Whether all has been decided and run."""
        return self._over

    @property
    def stopped(self) -> dict[str, Stop]:
        """Configurations that have been stopped, in the order of stopping."""
        return self._stopped

    def left(self) -> list[Run]:
        """The runs that are still to end if nobody else is stopped."""
        return [(one, fold) for one in self._runners for fold in range(self.folds) if (one, fold) not in self._results]

    def early(self) -> Iterator[Run]:
        """Runs that nothing waits for yet, for slots that would idle: of earlier folds first, of the most promising.

        Such a run counts only if its configuration is not stopped. So before anyone has been, each configuration is at
        most one fold ahead; afterwards the contenders are left, who will need their other folds anyway.
        """
        found = [self.early_of(one) for one in self._by_promise(self._runners)]
        return (run for depth in zip_longest(*found) for run in depth if run is not None)

    def early_of(self, configuration: str) -> list[Run]:
        """The runs of a configuration that could begin early, the next one first."""
        if configuration not in self._promises:
            return []
        last = self.folds - 1 if self._judged else min(self._fold + 1, self.folds - 1) if self.until is None else 0
        ahead = [(configuration, fold) for fold in range(self._fold, last + 1)]
        runs = [run for run in ahead if run not in self._results]
        if self._judged:
            return [run for run in runs if run not in self._missing]
        return [] if not runs or runs[0] in self._missing else runs[:1]

    def promise(self, configuration: str) -> float:
        """The place of a configuration among those that run: the less the more promising."""
        return self._promises[configuration]

    def _begin(self) -> None:
        self._stopped: dict[str, Stop] = {}
        self._runners: list[str] = []
        self._fold, self._over, self._judged = 0, False, False
        self._rung: int | None = None
        self._missing: dict[Run, None] = {}
        self._course = self._stages()
        self._go_on()

    def _go_on(self) -> None:
        """Takes every decision that nothing is waited for any more."""
        while not self._missing and not self._over:
            stage = next(self._course, None)
            if stage is None:
                self._over = True
                return
            self._missing = dict.fromkeys(run for run in stage if not self._there(run))
            self._promises = {one: self._promise(one) for one in self._runners}
            self.stage += 1

    def _there(self, run: Run) -> bool:
        """Whether a run has come as far as the stage wants it."""
        return run in self._results if self._rung is None else (run[0], self._rung) in self._reached

    def _stages(self) -> Iterator[list[Run]]:
        """The runs of one stage after another; the next is asked for when these have ended."""
        self._runners = [one for one in self.configurations if one not in self._failed]
        for rung in self.rungs:
            self._rung = rung
            yield self._stage(0)
            self._halve(rung)
        self._rung = None
        yield self._stage(0)
        pilots = self._pilots()
        looks = self.folds - 1 if pilots else self.folds - 2
        if pilots and looks > 0:
            self._fold = 1
            yield [(one, 1) for one in pilots]
            noise = noise_of(self._scores(pilots, 2), len(pilots) / len(self._runners))
            self._judge(1, noise, looks, frozenset(pilots))
        for fold in range(1, self.folds):
            self._cut(fold)
            yield self._stage(fold)
            if fold < self.folds - 1:
                ranked = self._rankable(fold + 1)
                self._judge(fold + 1, noise_of(self._scores(ranked, fold + 1)), looks)

    def _stage(self, fold: int) -> list[Run]:
        self._fold = fold
        return [(one, fold) for one in (self._by_promise(self._runners) if fold else self._runners)]

    def _pilots(self) -> list[str]:
        """The best on fold 0; none where all would be, or where these would be more than go on."""
        if self.rules.fold_share < 1:
            return []
        ranked = self._by_promise(self._rankable(1))
        count = pilots_of(len(ranked)) if self.rules.pilots is None else self.rules.pilots
        return ranked[:count] if 2 <= count < len(ranked) else []

    def _halve(self, rung: int) -> None:
        """Stops those with the worse validation scores at a rung; of equals the later ones."""
        order = self._by_promise(self._runners)
        keep = max(math.ceil(len(order) * self.rules.rung_share), self.rules.kept)
        for one in order[keep:]:
            lead = self._reached[order[0], rung] - self._reached[one, rung]
            self._stopped[one] = Stop(order[0], 0, lead, math.nan, rung)
        self._runners = order[:keep]

    def _cut(self, folds: int) -> None:
        """Stops those with the worse scores on the first folds, and whoever has none; of equals the later ones."""
        ranked = sorted(self._rankable(folds), key=lambda one: self._scores([one], folds).mean(), reverse=True)
        if self.rules.fold_share == 1 or not ranked:
            return
        keep = max(math.ceil(len(self._runners) * self.rules.fold_share), 2)
        for one in self._runners:
            if one not in ranked[:keep]:
                lead = float((self._scores(ranked[:1], folds) - self._scores([one], folds)).mean())
                self._stopped[one] = Stop(ranked[0], folds - 1, lead, math.nan)
        self._runners = ranked[:keep]

    def _judge(self, folds: int, noise: Noise, looks: int, spared: frozenset[str] = frozenset()) -> None:
        """Stops whom the best is ahead of with confidence."""
        self._judged = self.rules.fold_share == 1
        ranked = self._rankable(folds)
        if len(ranked) < 2:
            return
        tables = [self._table(ranked, fold) for fold in range(folds)]
        found = leads_of(tables, noise, self.rules.alpha / looks)
        for row, one in enumerate(ranked):
            if found.bounds[row] > self.rules.margin and one not in spared:
                lead, bound = float(found.leads[row]), float(found.bounds[row])
                self._stopped[one] = Stop(ranked[found.best], folds - 1, lead, bound)
        self._runners = [one for one in self._runners if one not in self._stopped]

    def _rankable(self, folds: int) -> list[str]:
        """Those runners that have a value on each of the first folds; without one nothing can be compared."""
        return [
            one for one in self._runners if all(math.isfinite(self._results[one, fold].value) for fold in range(folds))
        ]

    def _scores(self, configurations: Sequence[str], folds: int) -> np.ndarray:
        values = [self._results[one, fold].value for one in configurations for fold in range(folds)]
        return np.array(values).reshape(-1, folds)

    def _table(self, configurations: Sequence[str], fold: int) -> FoldTable:
        found = [self._results[one, fold] for one in configurations]
        scores = np.array([one.value for one in found])
        cases = [one.cases for one in found if one.cases is not None]
        return FoldTable(scores, np.stack(cases), found[0].groups) if len(cases) == len(found) else FoldTable(scores)

    def _by_promise(self, configurations: Sequence[str]) -> list[str]:
        """The best first, those without a value last; of equals in their order."""
        return sorted(configurations, key=self._promise)

    def _promise(self, configuration: str) -> float:
        """The less the better: by the mean over the folds that have ended, up to the stage's.

        On the way to a rung by what was reached there.
        """
        if self._rung is not None:
            value = self._reached.get((configuration, self._rung), math.nan)
        else:
            runs = ((configuration, fold) for fold in range(self._fold + 1))
            known = [self._results[run].value for run in runs if run in self._results]
            value = sum(known) / len(known) if known else math.nan
        return -value if math.isfinite(value) else math.inf

"""What the lead is worth: in how many resamples each configuration is the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from experiments.statistics import probability_best


class Lead:
    """Keeps the resamples of those configurations alone that are the best in one or more.

    A configuration that is beaten in every resample stays beaten, whoever comes after it: one more configuration is
    then compared with a few dozen, not with thousands.
    """

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._holders: dict[str, np.ndarray] = {}
        self._top: np.ndarray | None = None
        self._kept = 0
        self.lost = False
        """A configuration that was the best somewhere has left: all others have to `enter` anew."""

    def enter(self, configuration: str, resampled: np.ndarray) -> None:
        """Takes in a configuration with its objective in each resample, (resamples,)."""
        values = np.where(np.isnan(resampled), -np.inf, self._sign * resampled)
        if not _wins(values, self._top):
            return
        self._holders[configuration] = values
        self._top = values if self._top is None else np.maximum(self._top, values)
        if len(self._holders) > 2 * self._kept + 16:
            self._prune()

    def leave(self, configuration: str) -> None:
        """Forgets a configuration."""
        self.lost = self.lost or configuration in self._holders

    def restart(self, everyone: Iterable[tuple[str, np.ndarray]]) -> None:
        """Forgets all and takes in `everyone`."""
        self._holders, self._top, self._kept, self.lost = {}, None, 0, False
        for configuration, resampled in everyone:
            self.enter(configuration, resampled)

    def probabilities(self) -> Mapping[str, float]:
        """Of each configuration that is the best in some resample; all others have 0."""
        self._prune()
        names = sorted(self._holders)
        if not names:
            return {}
        shares = probability_best(np.stack([self._holders[name] for name in names]))
        return dict(zip(names, shares.tolist(), strict=True))

    def _prune(self) -> None:
        self._holders = {name: values for name, values in self._holders.items() if _wins(values, self._top)}
        self._kept = len(self._holders)


def _wins(values: np.ndarray, top: np.ndarray | None) -> bool:
    """Whether the values are the best in some resample; where nobody has a value, nobody is."""
    return top is None or bool(((values >= top) & (values > -np.inf)).any())

"""Whether small lesions are found less well than large ones."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from experiments.figures.data import CannotDrawError, FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import metric_label, metric_name, shorten
from experiments.figures.style import BLUE, VERMILLION, canvas

_FEWEST = 3


def score_by_size(data: FigureData) -> Chart:
    """The per-case objective of the best configuration against the lesion's share of the image."""
    line = data.best()
    cache = data.images(line)
    cases = data.case_scores(line)
    shares = np.array([cache.native_mask(cache.index(case.case)).mean() for case in cases]) * 100
    scores = np.array([case.score for case in cases])
    shares, scores = shares[shares > 0], scores[shares > 0]
    if shares.size < _FEWEST:
        raise CannotDrawError(f"only {shares.size} test cases have a lesion and a score")
    name = metric_name(data.case_metric)
    figure = canvas(4.2, f"{name} by lesion size, {shorten(line.entry.name)}")
    axes = figure.add_subplot()
    axes.plot(shares, scores, "o", color=BLUE, alpha=0.4, markersize=4.5, markeredgewidth=0, label="test case")
    window = window_of(shares.size)
    axes.plot(*running_median(shares, scores, window), color=VERMILLION, label=f"median of {window} neighbours")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Lesion, share of the image (%)")
    axes.set_ylabel(metric_label(data.case_metric))
    figure.legend(loc="outside lower center", ncols=2)
    caption = (
        f"{name} of the {scores.size} test cases of {line.entry.name} that have a lesion, against the share of the "
        f"image that the lesion covers (logarithmic), with the running median over {window} cases."
    )
    return Chart("score_by_size", f"{name} by lesion size", caption, figure)


def window_of(cases: int) -> int:
    """How many neighbours a running median takes: a fifth of the cases, odd, at least three."""
    return min(max(3, cases // 5 | 1), cases)


def running_median(x: np.ndarray, y: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Medians of x and y over every `window` neighbours by x; both (N - window + 1,)."""
    order = np.argsort(x, kind="stable")
    windows = np.lib.stride_tricks.sliding_window_view
    return np.median(windows(x[order], window), axis=1), np.median(windows(y[order], window), axis=1)

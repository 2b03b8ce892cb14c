"""Whether a probability of 0.8 means that eight in ten are right."""

from __future__ import annotations

from experiments.figures.data import FigureData
from experiments.figures.figure import Chart
from experiments.figures.labels import shorten
from experiments.figures.style import BLUE, GREY, SKY, VERMILLION, canvas
from utils.metrics import METRICS
from utils.metrics.curves import reliability as reliability_of


def reliability(data: FigureData) -> Chart:
    """Accuracy by confidence of the best configuration, and how many cases have that confidence."""
    line = data.best()
    fold = data.predictions(line)
    found = reliability_of(fold)
    ece = METRICS["ece"](fold)
    width = float(found.edges[1])
    middles = found.edges[:-1] + width / 2
    figure = canvas(6.2, f"Reliability of {shorten(line.entry.name)}")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2, label="perfectly calibrated")
    above.bar(
        middles, found.accuracy, width * 0.9, color=SKY, edgecolor=BLUE, linewidth=0.8, label="accuracy in the bin"
    )
    above.plot(
        found.confidence, found.accuracy, "o", color=VERMILLION, markersize=4.5, label="mean confidence of the bin"
    )
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="Accuracy")
    above.legend(loc="upper left", title=f"ECE {ece:.3f}", alignment="left", title_fontsize=10)
    below.bar(middles, found.counts, width * 0.9, color=GREY)
    below.set(xlabel="Confidence (probability of the predicted class)", ylabel="Cases")
    caption = (
        f"Accuracy of {line.entry.name} among the cases of each confidence, over the {fold.labels.size} cases of all "
        f"test folds pooled, and below how many cases each bin has; bars under the dotted line are overconfident "
        f"(expected calibration error {ece:.3f})."
    )
    return Chart("reliability", "Reliability of the best configuration's probabilities", caption, figure)

"""Which classes a latent augmentation is for."""

from __future__ import annotations

from collections.abc import Sequence

from utils.errors import Problem, UserError, nearest


def minority_classes(counts: Sequence[int], names: Sequence[str], chosen: Sequence[str] | None = None) -> list[bool]:
    """For each class whether it is augmented.

    counts: of cases of each class in the TRAINING part. names: of the classes, in the same order.
    chosen: names of the classes to augment; None: those that have cases, but fewer than an equal share of all cases,
    where classes without cases have no share. Where all classes have as many, there is no minority.
    Raises UserError for a chosen name that is none of the classes'.
    """
    if chosen is None:
        present = sum(count > 0 for count in counts)
        return [count > 0 and count * present < sum(counts) for count in counts]
    strangers = [name for name in chosen if name not in names]
    if strangers:
        message, choices = "classes: the dataset has no such class", tuple(names)
        raise UserError(
            Problem("model.latent_augmentation", message, value=name, nearest=nearest(name, names), choices=choices)
            for name in strangers
        )
    return [name in chosen for name in names]

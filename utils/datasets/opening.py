"""A dataset by its name and options, where nobody has checked them before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.datasets.case import DATASETS, Dataset
from utils.errors import Problem, UserError, nearest
from utils.registry import ValidationError


def open_dataset(name: str, root: Path | None, options: Mapping[str, Any]) -> Dataset:
    """The registered dataset. Raises UserError for a name that is none, and for options that are refused."""
    known = tuple(DATASETS.options(name).model_fields)
    try:
        DATASETS.check(name, options)
    except ValidationError as error:
        raise UserError(_problem(item, known) for item in error.errors(include_url=False)) from None
    dataset: Dataset = DATASETS[name](root, **options)
    return dataset


def _problem(item: Any, known: tuple[str, ...]) -> Problem:
    """An error of pydantic's, in the terms of a sweep file."""
    where = ".".join(("dataset.options", *map(str, item["loc"])))
    if item["type"] == "extra_forbidden":
        option = str(item["loc"][-1])
        choices = known if len(item["loc"]) == 1 else ()
        return Problem(where, "no such option", "", None, nearest(option, choices), choices)
    return Problem(where, item["msg"], value=None if item["type"] == "missing" else item["input"])

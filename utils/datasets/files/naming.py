"""What the names of files say: which mask belongs to which image, which patient or slide an image is of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from utils.errors import Problem, UserError


@dataclass(frozen=True)
class NamePattern:
    """A regular expression that finds the group of a case in its name; none finds none.

    option: the dataset's option that holds it.
    """

    text: str | None
    option: str

    def find(self, name: str) -> str | None:
        """What its first group (or ``(?P<group>...)``) matches, searched anywhere in `name`.

        Raises UserError if the expression is none, has no group, or finds nothing: a case without its patient would
        cross folds unnoticed.
        """
        if self.text is None:
            return None
        try:
            pattern = re.compile(self.text)
        except re.error as error:
            raise self._wrong(f"no regular expression: {error}") from None
        if pattern.groups == 0:
            raise self._wrong("has no group in parentheses, which is to match what must stay together")
        match = pattern.search(name)
        if match is None:
            raise self._wrong(f"does not match the name {name!r}")
        found = match["group"] if "group" in pattern.groupindex else match[1]
        if not found:
            raise self._wrong(f"finds nothing in the name {name!r}")
        return found

    def _wrong(self, fault: str) -> UserError:
        return UserError(Problem(f"dataset.options.{self.option}", fault, value=self.text))


def mask_name(template: str, name: str, option: str = "mask") -> str:
    """The name of the mask of the image `name`, both without suffix: ``{name}`` stands for it in the template.

    Raises UserError for a template that would give all images one mask.
    """
    if template.count("{name}") != 1:
        message = "must hold {name} once, which stands for the name of the image, such as {name}_segmentation"
        raise UserError(Problem(f"dataset.options.{option}", message, value=template))
    return template.replace("{name}", name)

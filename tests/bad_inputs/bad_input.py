"""What a bad input is: something that a user could give to the command, and what the answer must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Says = str | tuple[str, ...]
"""Texts that one problem must contain, all of them."""
Make = Callable[[Path], "list[str] | None"]
"""Puts the input into a folder, which is the current one when the command runs; returns the command's arguments,
by default those that run ``sweep.yaml``."""

FILES = Path(__file__).parent / "files"
"""Sweep files that are bad as they stand."""

# Nobody answers there: without an address the driver would start Ray while it reads data that turn out to be bad.
NOWHERE = ("--address", "127.0.0.1:1")


@dataclass(frozen=True)
class BadInput:
    """One bad input. says: one entry for each problem that must be reported, in any order, and no other."""

    name: str
    says: tuple[Says, ...]
    make: Make
    leaves: tuple[str, ...] = ()

    def arguments(self, folder: Path) -> list[str]:
        """Makes the input; the arguments of the command."""
        made = self.make(folder)
        return [*(made if made is not None else ["sweep.yaml"]), *NOWHERE]


class BadInputs:
    """The bad inputs of one kind, in the order in which they are written down."""

    def __init__(self, *leaves: str) -> None:
        """leaves: what the command may write in the results folder all the same, such as the report on the data."""
        self._leaves = leaves
        self.all: list[BadInput] = []

    def __call__(self, *says: Says) -> Callable[[Make], Make]:
        """Takes a function that makes an input; its name is the input's."""

        def register(make: Make) -> Make:
            self.add(make.__name__, make, *says)
            return make

        return register

    def add(self, name: str, make: Make, *says: Says) -> None:
        """Takes an input by name."""
        assert says and name not in [other.name for other in self.all]
        self.all.append(BadInput(name, says, make, self._leaves))


def sweep(folder: Path, text: str | bytes, name: str = "sweep.yaml") -> None:
    """Writes a sweep file."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)

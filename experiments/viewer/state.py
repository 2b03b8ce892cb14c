"""What a viewer shows, and what keys and trackbars make of it: values and pure functions, without a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from experiments.prediction import Inference

SIZES = (None, 512, 1024)
"""Pixels of the longer side that the networks are given; None as in training."""

Action = Literal["save", "quit"]

_STRONGEST = 80
_DEFAULT_STRENGTH = 20


@dataclass(frozen=True)
class View:
    """What is looked at, and how.

    count: images in all, at least 1. index: of the one that is shown. opacity: of the lesion's colour, per cent.
    threshold: per cent of probability above which a pixel is lesion, 1 to 99. clahe: whether contrast is equalised,
    by the clip limit `strength` in tenths, 1 to 80. size: one of `SIZES`. truth: whether true masks are drawn.
    """

    count: int
    index: int = 0
    opacity: int = 35
    threshold: int = 50
    clahe: bool = False
    strength: int = _DEFAULT_STRENGTH
    size: int | None = None
    truth: bool = True

    @classmethod
    def of(cls, count: int, clip_limit: float) -> View:
        """The first one. clip_limit: of CLAHE in training, 0 where there was none."""
        strength = round(10 * clip_limit) if clip_limit > 0 else _DEFAULT_STRENGTH
        return cls(count, clahe=clip_limit > 0, strength=min(max(strength, 1), _STRONGEST))

    @property
    def inference(self) -> Inference:
        """How the networks are to be asked."""
        return Inference(sizes=() if self.size is None else (self.size,), clip_limit=self.clip_limit)

    @property
    def clip_limit(self) -> float:
        """Of CLAHE; 0 where it is off."""
        return self.strength / 10 if self.clahe else 0.0


Change = Callable[[View], View]


@dataclass(frozen=True)
class Key:
    """A key of the keyboard. names: how it is printed. codes: what OpenCV answers for it. does: for people.

    effect: what the key makes of a view, or an action beyond it.
    """

    names: tuple[str, ...]
    codes: tuple[int, ...]
    does: str
    effect: Change | Action


TRACKBARS: Mapping[str, tuple[str, int, int]] = MappingProxyType(
    {
        "opacity %": ("opacity", 0, 100),
        "threshold %": ("threshold", 1, 99),
        "CLAHE x 0.1": ("strength", 1, _STRONGEST),
    }
)
"""Caption of each trackbar -> the field of `View` that it moves, its lowest and its highest value."""


def moved(view: View, caption: str, position: int) -> View:
    """The view after a trackbar was moved; beyond its range it stands still at the end."""
    field, low, high = TRACKBARS[caption]
    change: dict[str, Any] = {field: min(max(position, low), high)}
    return replace(view, **change)


def pressed(view: View, code: int) -> View | Action:
    """The view after a key, as OpenCV's ``waitKeyEx`` answers it, or what else is to be done. Other keys do nothing."""
    for key in KEYS:
        if code in key.codes:
            return key.effect(view) if callable(key.effect) else key.effect
    return view


def key_named(name: str) -> int:
    """The code of a key by one of its names. Raises KeyError."""
    for key in KEYS:
        if name in key.names:
            return key.codes[key.names.index(name)]
    raise KeyError(name)


def help_text() -> str:
    """All keys, a line each."""
    width = max(len(", ".join(key.names)) for key in KEYS)
    return "\n".join(f"  {', '.join(key.names):<{width}}  {key.does}" for key in KEYS)


def _stepped(field: str, step: int) -> Change:
    caption = next(caption for caption, (moves, _, _) in TRACKBARS.items() if moves == field)
    return lambda view: moved(view, caption, getattr(view, field) + step)


def _turned(step: int) -> Change:
    # From the last image to the first: whoever compares goes round.
    return lambda view: replace(view, index=(view.index + step) % view.count)


def _next_size(view: View) -> View:
    return replace(view, size=SIZES[(SIZES.index(view.size) + 1) % len(SIZES)])


# Arrow keys and keypad are answered by their number in the window system: X11's, Windows', macOS'.
KEYS: tuple[Key, ...] = (
    Key(("n", "right"), (ord("n"), 0xFF53, 0x270000, 63235), "next image", _turned(1)),
    Key(("p", "left"), (ord("p"), 0xFF51, 0x250000, 63234), "previous image", _turned(-1)),
    Key(("+", "="), (ord("+"), ord("="), 0xFFAB), "overlay stronger", _stepped("opacity", 5)),
    Key(("-",), (ord("-"), 0xFFAD), "overlay weaker", _stepped("opacity", -5)),
    Key(("]",), (ord("]"),), "threshold up: less is lesion", _stepped("threshold", 5)),
    Key(("[",), (ord("["),), "threshold down: more is lesion", _stepped("threshold", -5)),
    Key(("c",), (ord("c"),), "CLAHE on or off", lambda view: replace(view, clahe=not view.clahe)),
    Key((".",), (ord("."),), "CLAHE stronger", _stepped("strength", 5)),
    Key((",",), (ord(","),), "CLAHE weaker", _stepped("strength", -5)),
    Key(("z",), (ord("z"),), "size of the input: as in training, 512, 1024", _next_size),
    Key(("t",), (ord("t"),), "true mask on or off", lambda view: replace(view, truth=not view.truth)),
    Key(("s",), (ord("s"),), "save the mask and what is seen", "save"),
    Key(("q", "escape"), (ord("q"), 27), "quit", "quit"),
)

"""A figure before and after it is written, and the two forms that it takes: a chart and an animation.

The same data give the same bytes: no date is written, and the ids inside an SVG hang on what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure as Canvas
from PIL import Image

from experiments.figures.style import DPI, styled
from utils.files import write_atomically

LAST_FRAME_MILLISECONDS = 2_000
MILLISECONDS_OF_ALL_FRAMES = 6_000

_FRAMES_OF_PALETTE = 8


@dataclass(frozen=True)
class Figure:
    """A figure on disk.

    name: unique in the sweep; the files' name. caption: a sentence on what to see and how it was made; the
    alternative text. png: a still, also of an animation. svg, gif: None where there is none.
    """

    name: str
    title: str
    caption: str
    png: Path
    svg: Path | None = None
    gif: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the figure."""
        return tuple(path for path in (self.png, self.svg, self.gif) if path is not None)


@dataclass(frozen=True)
class Omitted:
    """A figure that this sweep has no data for, and what is missing."""

    name: str
    reason: str


class Drawing(Protocol):
    """What can be written as a figure."""

    @property
    def name(self) -> str:
        """The name of the figure."""
        ...

    def save(self, folder: Path) -> Figure:
        """Writes the files of the figure, each atomically."""
        ...


@dataclass(frozen=True)
class Chart:
    """A chart, written as PNG and SVG."""

    name: str
    title: str
    caption: str
    canvas: Canvas

    def save(self, folder: Path) -> Figure:
        """Writes ``<name>.png`` and ``<name>.svg`` into `folder`, each atomically."""
        png, svg = folder / f"{self.name}.png", folder / f"{self.name}.svg"
        with styled(self.name):
            # Worked out once, the layout is the same in both files.
            self.canvas.draw_without_rendering()
            self.canvas.set_layout_engine("none")
            write_atomically(png, lambda file: self.canvas.savefig(file, format="png", dpi=DPI))
            metadata = {"Date": None, "Title": self.title}
            write_atomically(svg, lambda file: self.canvas.savefig(file, format="svg", metadata=metadata))
        return Figure(self.name, self.title, self.caption, png, svg)


@dataclass(frozen=True)
class Animation:
    """Frames of one size, written as an endless GIF, and the last of them as PNG."""

    name: str
    title: str
    caption: str
    frames: Sequence[Image.Image]

    def save(self, folder: Path) -> Figure:
        """Writes ``<name>.png`` and ``<name>.gif`` into `folder`, each atomically."""
        png, gif = folder / f"{self.name}.png", folder / f"{self.name}.gif"
        last = self.frames[-1]
        write_atomically(png, lambda file: last.save(file, format="PNG"))
        # One palette for all: a palette for each frame would flicker, and that of one has not the others' colours.
        palette = _beneath_each_other(self.frames[:: -(-len(self.frames) // _FRAMES_OF_PALETTE)]).quantize(colors=256)
        first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        each = max(80, min(800, MILLISECONDS_OF_ALL_FRAMES // len(self.frames)))
        pauses = [each] * len(rest) + [LAST_FRAME_MILLISECONDS]
        write_atomically(
            gif,
            lambda file: first.save(
                file, format="GIF", save_all=True, append_images=rest, duration=pauses, loop=0, optimize=False
            ),
        )
        return Figure(self.name, self.title, self.caption, png, gif=gif)


def _beneath_each_other(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    strip = Image.new("RGB", (width, height * len(frames)))
    for number, frame in enumerate(frames):
        strip.paste(frame, (0, number * height))
    return strip

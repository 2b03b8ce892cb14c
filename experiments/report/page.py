"""The page itself: one HTML file that needs no network, made from a template in which everything is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# SVG is sharp on every screen, but one that holds many points or pictures is larger than its PNG.
_SVG_PER_PNG = 1.0
_ALWAYS_SVG = 150_000
_TYPES = {".svg": "svg+xml", ".png": "png", ".gif": "gif"}

_META = re.compile(r'<meta name="report-(?P<name>key|files)" content="(?P<value>[^"]*)">')


@dataclass(frozen=True)
class Picture:
    """A figure on the page. address: its data URI."""

    name: str
    title: str
    caption: str
    address: str


def render(context: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    """The page from what stands on it; text in `context` is escaped wherever it is put."""
    environment = Environment(
        loader=PackageLoader("experiments.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    files = {name: Markup(_source(f"page.{name}")) for name in ("css", "js")}
    return environment.get_template("page.html.jinja").render(**context, pictures=pictures, **files)


def picture(
    name: str, title: str, caption: str, png: Path, svg: Path | None = None, gif: Path | None = None
) -> Picture:
    """A figure's files as one data URI: the animation, else the SVG unless it is much larger than the PNG."""
    path = gif or png
    if gif is None and svg is not None:
        large = svg.stat().st_size > max(_ALWAYS_SVG, _SVG_PER_PNG * png.stat().st_size)
        path = png if large else svg
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(name, title, caption, f"data:image/{_TYPES[path.suffix]};base64,{content}")


def read_meta(path: Path) -> dict[str, str]:
    """What a page says about itself in its head: ``key`` and ``files``; empty where there is no such page."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(8192)
    except (OSError, UnicodeDecodeError):
        return {}
    return {found["name"]: found["value"] for found in _META.finditer(head)}


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")

"""The report as a browser shows it: nothing is fetched, nothing complains, nothing runs off the screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.opened import open_sweep
from experiments.report.writing import Report
from experiments.sweep import Sweep

pytestmark = pytest.mark.slow

SKILLS = {"a long name, of a configuration with many words": 0.8, "<script>alert(1)</script>": 0.79, "poor": 0.3}
COLUMN = "[...document.querySelectorAll('#leaderboard tbody tr')].map(row => row.cells[{}].innerText)"
SORTED = "document.querySelectorAll('#leaderboard thead th')[{}].getAttribute('aria-sort')"
PRESS = "document.querySelectorAll('#leaderboard thead button')[{}].click()"


@pytest.fixture
def page(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> Path:
    """A report with ties, a failure, and a question that wants to be markup."""
    sweep = finished_sweep({**SKILLS, "broken": None}, question="Which <b>one</b><script>alert(2)</script>?")
    return Report(open_sweep(sweep, tmp_path / "results", lambda stage, done, total: None)).write(lambda *_: None).page


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_asks_for_nothing_and_fits_the_screen(tab: Callable[[int], Any], page: Path, width: int) -> None:
    opened = tab(width)
    opened.open(page)
    assert opened.requests == [page.as_uri()]
    assert opened.complaints == []
    assert opened.ask("document.title") == "made: Which <b>one</b><script>alert(2)</script>?"
    assert opened.ask("innerWidth") == width
    assert opened.ask("document.documentElement.scrollWidth") == width, "the page scrolls sideways"
    assert opened.ask("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    table = "document.querySelector('#table .scroll')"
    assert opened.ask(f"{table}.scrollWidth > {table}.clientWidth"), "the wide table scrolls in its own box"
    left = "document.querySelectorAll('#leaderboard tbody tr')[0].cells[1].getBoundingClientRect().left"
    before = opened.ask(left)
    opened.ask(f"{table}.scrollLeft = 300")
    assert opened.ask(left) == before, "the names stay in sight"


def test_the_table_sorts_by_mouse_and_by_keyboard(tab: Callable[[int], Any], page: Path) -> None:
    opened = tab(1280)
    opened.open(page)
    assert opened.ask(SORTED.format(0)) == "ascending"
    ranks = opened.ask(COLUMN.format(0))
    assert ranks == ["1", "2", "3", "\N{EN DASH}"]
    opened.ask(PRESS.format(0))
    assert opened.ask(COLUMN.format(0)) == ["3", "2", "1", "\N{EN DASH}"], "what has no rank stays at the end"
    assert opened.ask(SORTED.format(0)) == "descending"

    opened.ask("document.querySelectorAll('#leaderboard thead button')[1].focus()")
    opened.press("Tab")
    opened.press("Enter")
    assert [opened.ask(SORTED.format(column)) for column in (0, 2)] == ["none", "descending"], "the objective"
    assert opened.ask(COLUMN.format(0)) == ["1", "2", "3", "\N{EN DASH}"]
    scores = [text.split()[0] for text in opened.ask(COLUMN.format(2))][:3]
    assert scores == sorted(scores, reverse=True)

    opened.ask(PRESS.format(1))
    names = [text.split(maxsplit=1)[0] for text in opened.ask(COLUMN.format(1))]
    assert len(names) == 4 and opened.ask(SORTED.format(1)) == "ascending"
    assert names.index("broken") < names.index("poor")
    assert opened.complaints == []

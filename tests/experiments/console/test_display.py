"""What a user sees: lines in a log, a table that is drawn anew in a terminal."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Sequence

import pytest
from rich.console import Console

from experiments.console import display as module
from experiments.console.display import Display, duration, standings_table
from experiments.leaderboard import Standing

STANDINGS = [
    Standing("1", "aaa", "resnet18", "3/3", "0.8100 ± 0.0200", False),
    Standing("2", "bbb", "vgg[bold]", "3/3", "0.8000 ± 0.0300", True),
    Standing("", "ccc", "mit_b0", "1/3", "0.7000", False),
]


def plain() -> Display:
    return Display(Console(file=io.StringIO(), width=100))


def terminal(height: int = 40) -> Display:
    return Display(Console(file=io.StringIO(), force_terminal=True, width=100, height=height))


def printed(display: Display) -> str:
    """What is on the screen, colours and cursor movements left out."""
    assert isinstance(display.console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", display.console.file.getvalue())


def seen(display: Display) -> str:
    """The block of a terminal as it is now, and no earlier one."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=400, color_system=None)
    console.print(display._render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def nobody() -> Sequence[Standing]:
    return []


def test_lines_of_a_log() -> None:
    display = plain()
    with display:
        display.begin("encoders", "dice", total=4, done=1, standings=nobody)
        display.started("a", "resnet18", 0)
        display.advanced("a", 1, 3, 0.5)
        display.ended("a", "resnet18", 0, "dice 0.8000", failed=False)
        display.started("b", "vgg[red]", 1)
        display.ended("b", "vgg[red]", 1, "failed: ValueError: [x]", failed=True)
        display.ended("c", "mit_b0", 2, "dice 0.7000", failed=False)  # found in the ledger: never started here
    assert printed(display).splitlines() == [
        "encoders: 4 runs, 1 done already",
        "[2/4] resnet18, fold 0: dice 0.8000, about 0 s left",
        "[3/4] vgg[red], fold 1: failed: ValueError: [x], about 0 s left",
        "[4/4] mit_b0, fold 2: dice 0.7000",
    ]
    assert display.failed == 1


def test_a_line_is_not_broken_or_marked_up() -> None:
    display = plain()
    display.say("[bold]x[/bold] " + "long " * 60)
    assert printed(display) == "[bold]x[/bold] " + "long " * 60 + "\n"


def test_the_eta_assumes_that_the_rest_is_like_what_was_seen() -> None:
    display = plain()
    display.begin("s", "dice", total=10, done=0, standings=nobody)
    assert display.eta() is None
    for run in ("a", "b"):
        display.started(run, run, 0)
    time.sleep(0.1)
    display.ended("a", "a", 0, "dice 1", failed=False)
    display.started("c", "c", 0)
    # Nine runs of a tenth of a second, one of them almost over, by two workers.
    assert display.eta() == pytest.approx((9 * 0.1 - 0.1) / 2, abs=0.1)
    time.sleep(0.3)
    # Slower than those before: what is left of it is at least nothing.
    assert display.eta() == pytest.approx((9 * 0.1 - 0.2) / 2, abs=0.1)
    display.gone("b"), display.gone("c")
    assert display.eta() == pytest.approx(0.9, abs=0.2)


def test_failures_and_earlier_results_do_not_count_for_the_eta() -> None:
    display = plain()
    display.begin("s", "dice", total=10, done=5, standings=nobody)
    display.started("a", "a", 0)
    display.ended("a", "a", 0, "failed", failed=True)
    assert display.eta() is None
    display.ended("b", "b", 0, "dice 1", failed=False)
    assert display.eta() is None and display.done == 7
    assert "left" not in printed(display)


def test_the_eta_is_never_negative() -> None:
    display = plain()
    display.begin("s", "dice", total=1, done=0, standings=nobody)
    display.started("a", "a", 0)
    display.ended("a", "a", 0, "dice 1", failed=False)
    assert display.eta() == 0
    display.ended("a", "a", 0, "dice 1", failed=False)
    assert display.eta() == 0


def test_a_run_that_died_is_running_no_more() -> None:
    display = terminal()
    display.begin("s", "dice", total=2, done=0, standings=nobody)
    display.started("a", "resnet18", 0)
    assert "resnet18" in seen(display)
    display.gone("a")
    display.gone("a")
    display.advanced("a", 1, 2, 0.5)  # a late word of the dead
    assert "resnet18" not in seen(display)


def test_stages_of_a_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PLAIN_INTERVAL", 0.05)
    display = plain()
    with display:
        for done in range(1, 4):
            display.stage("Opening", done, 3)
        display.stage("Preparing", 1, 9)
        time.sleep(0.06)
        display.stage("Preparing", 2, 9)
        display.stage("Preparing", 3, 9)
    assert printed(display).splitlines() == ["Opening: 3 of 3", "Preparing: 2 of 9"]


def test_a_terminal_before_the_first_run() -> None:
    display = terminal()
    with display:
        display.stage("Opening the cases", 3, 9)
        assert seen(display).strip() == "Opening the cases: 3 of 9"
    with terminal() as empty:
        assert seen(empty).strip() == ""
        empty.begin("s", "dice", total=0, done=0, standings=nobody)
        assert seen(empty).strip() == "s"


def test_a_terminal_shows_runs_epochs_and_standings() -> None:
    display = terminal()
    with display:
        display.begin("encoders", "dice", total=9, done=3, standings=lambda: STANDINGS)
        display.started("a", "resnet18[red]", 2)
        text = seen(display)
        assert "3/9 runs" in text and "ETA after the first run" in text and "failed" not in text
        assert re.search(r"resnet18\[red\]\s+2\s+starting", text)
        display.advanced("a", 4, 60, 0.51239)
        display.started("b", "mit_b0", 0)
        display.advanced("b", 1, 60, None)
        display.ended("b", "mit_b0", 0, "ValueError", failed=True)
        text = seen(display)
        assert re.search(r"resnet18\[red\]\s+2\s+4/60\s+0\.5124", text)
        assert "4/9 runs" in text and "1 failed" in text and "validation dice" in text
        assert re.search(r"1\s+resnet18\s+3/3\s+0\.8100", text) and re.search(r"-\s+mit_b0\s+1/3", text)
        display.ended("a", "resnet18[red]", 2, "dice 0.8", failed=False)
    # What is over is in the table; only failures stay on the screen.
    assert "[4/9] mit_b0, fold 0: ValueError" in printed(display)
    assert "[5/9]" not in printed(display)


@pytest.mark.parametrize("height", [5, 40])
def test_a_hundred_runs_at_once_in_any_terminal(height: int) -> None:
    display = terminal(height)
    with display:
        display.begin("s", "dice", total=200, done=0, standings=lambda: STANDINGS)
        for run in range(100):
            display.started(run, f"a configuration with quite a long name, number {run}" * 2, run % 3)
            display.advanced(run, run, 100, run / 100)
        time.sleep(0.3)  # long enough for the block to be drawn
        for run in range(100):
            display.ended(run, "x", 0, "dice 1", failed=False)
        display.say("still here")
    assert "still here" in printed(display)
    assert "0/200 runs" in printed(display)


def test_the_table_is_drawn_while_runs_come_and_go() -> None:
    """rich draws from a thread of its own: an exception there would end the display without a word."""
    display = terminal()
    display.begin("s", "dice", total=10**6, done=0, standings=nobody)
    display.started("first", "x", 0)
    display.ended("first", "x", 0, "dice 1", failed=False)  # from now on there is an ETA
    errors: list[Exception] = []
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            try:
                display.eta()
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for run in range(300):
            display.started(run, "x", 0)
        for run in range(300):
            display.gone(run)
    over.set()
    thread.join()
    assert errors == []


def test_the_table_of_standings() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(standings_table(STANDINGS, "dice"))
    assert isinstance(console.file, io.StringIO)
    head, *lines = console.file.getvalue().splitlines()
    assert "test dice" in head
    assert [line.split() for line in lines] == [
        ["1", "resnet18", "3/3", "0.8100", "±", "0.0200"],
        ["2", "vgg[bold]", "3/3", "0.8000", "±", "0.0300", "tied", "with", "best"],
        ["-", "mit_b0", "1/3", "0.7000"],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (99.4, "99 s"),
        (99.9, "2 min"),
        (100, "2 min"),
        (3570, "60 min"),
        (7100, "118 min"),
        (7199, "2 h 00 min"),
        (12_000, "3 h 20 min"),
        (100_000, "27 h 47 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text

"""Ctrl-C and SIGTERM: at once where it is safe, noted where it is not, and never twice in vain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.console.interruption import Interrupted, Interruption

REPOSITORY = Path(__file__).parents[3]
BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict[signal.Signals, Any]]:
    """The handlers of the process that runs the tests, which must be in place again afterwards."""
    before = {number: signal.getsignal(number) for number in BOTH}
    yield before
    assert {number: signal.getsignal(number) for number in BOTH} == before


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_raises_at_once(number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=number.name) as raised, Interruption():
        signal.raise_signal(number)
        pytest.fail("went on")
    assert raised.value.signal_number == number


@pytest.mark.parametrize("number", BOTH)
def test_a_deferred_signal_waits_for_a_check(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as raised, Interruption() as interruption:
        interruption.check()
        interruption.deferred = True
        signal.raise_signal(number)
        went_on = True
        interruption.check()
    assert went_on and raised.value.signal_number == number


@pytest.mark.parametrize(("first", "second"), [BOTH, BOTH[::-1], [signal.SIGINT] * 2])
def test_the_second_signal_is_not_deferred(first: signal.Signals, second: signal.Signals) -> None:
    reached = []
    with pytest.raises(Interrupted) as raised, Interruption() as interruption:
        interruption.deferred = True
        signal.raise_signal(first)
        reached.append(1)
        signal.raise_signal(second)
        reached.append(2)
    assert reached == [1] and raised.value.signal_number == second


def test_no_except_exception_swallows_it() -> None:
    with pytest.raises(Interrupted), Interruption():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:
            pytest.fail("swallowed")


def test_handlers_are_restored_after_success_and_error(handlers: dict[signal.Signals, Any]) -> None:
    with Interruption():
        assert all(signal.getsignal(number) != handlers[number] for number in BOTH)
    with pytest.raises(ZeroDivisionError), Interruption():
        raise ZeroDivisionError
    with Interruption(), Interruption():
        pass


def test_signals_are_taken_back_from_a_library() -> None:
    taken: list[int] = []
    with pytest.raises(Interrupted), Interruption() as interruption:
        for number in BOTH:
            signal.signal(number, lambda number, frame: taken.append(number))
        signal.raise_signal(signal.SIGTERM)
        assert taken == [signal.SIGTERM]
        interruption.listen()
        signal.raise_signal(signal.SIGTERM)
    assert taken == [signal.SIGTERM]


def test_outside_the_main_thread_signals_are_left_alone(handlers: dict[signal.Signals, Any]) -> None:
    found: list[Any] = []

    def work() -> None:
        try:
            with Interruption() as interruption:
                interruption.check()
                interruption.listen()
                found.append({number: signal.getsignal(number) for number in BOTH})
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [handlers]


CHILD = """
import time
from experiments.console.interruption import Interrupted, Interruption
try:
    with Interruption() as interruption:
        interruption.deferred = True
        print("ready", flush=True)
        while True:
            time.sleep(0.02)
            interruption.check()
except Interrupted as interrupted:
    print("stopped by", interrupted, flush=True)
"""


@pytest.mark.parametrize("number", BOTH)
def test_a_real_process_stops_cleanly(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            child.send_signal(number)
            assert child.stdout.readline() == f"stopped by {number.name}\n"
            assert child.wait(5) == 0
        finally:
            child.kill()

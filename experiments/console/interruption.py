"""Ctrl-C and SIGTERM as one request to stop, honoured where it is safe to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interrupted(BaseException):
    """The user or the system asked the sweep to stop. Not an `Exception`: nothing may swallow it."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


class Interruption:
    """Turns SIGINT and SIGTERM into `Interrupted`.

    Outside `deferred` the signal raises at once. While deferred it is noted, and `check` raises: an
    exception in the middle of Ray's event loop could be swallowed by a library's except clause. A second
    signal always raises at once.
    """

    def __init__(self) -> None:
        self.deferred = False
        self._received: int | None = None
        self._previous: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> Interruption:
        # Signal handlers can only be set in the main thread; elsewhere (a notebook's) Ctrl-C is not ours.
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in _SIGNALS}
            self.listen()
        return self

    def listen(self) -> None:
        """Takes the signals back from a library that has put its own handlers in place of ours."""
        for number in self._previous:
            signal.signal(number, self._receive)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            # None stands for a handler that was not set from Python, and cannot be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again, self._received = self._received is not None, number
        if again or not self.deferred:
            raise Interrupted(number)

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

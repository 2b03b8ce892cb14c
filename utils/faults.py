"""What is behind an exception, whatever the libraries on its way have made of it."""

from __future__ import annotations

from collections.abc import Iterator


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and every one that it was raised from or over, each once; also those hidden by ``from None``."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__context__, current.__cause__]


def interruption_behind(error: BaseException) -> BaseException | None:
    """The SystemExit, KeyboardInterrupt or the like that `error` is, or that it was raised over; None if there is none.

    Tells the end of the process from the failure of a run: a signal may arrive inside a library that answers with an
    exception of its own, as torch does where the file that it writes to raises.
    """
    # A generator that is let go of ends by GeneratorExit: what fails meanwhile is a failure like any other.
    return next((one for one in chain(error) if not isinstance(one, Exception | GeneratorExit)), None)

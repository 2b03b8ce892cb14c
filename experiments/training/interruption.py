"""Telling the end of the process from the failure of a run, whatever a library made of it on the way."""

from __future__ import annotations


def interruption_behind(error: BaseException) -> BaseException | None:
    """The SystemExit, KeyboardInterrupt or the like that `error` is, or that it was raised over; None if there is none.

    A signal may arrive inside a library that answers with an exception of its own, as torch does where the file that it
    writes to raises. Both chains are looked through, ``__cause__`` and ``__context__``, also the hidden ones.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        # A generator that is let go of ends by GeneratorExit: what fails meanwhile is a failure like any other.
        if not isinstance(current, Exception | GeneratorExit):
            return current
        seen.add(id(current))
        waiting += [current.__context__, current.__cause__]
    return None

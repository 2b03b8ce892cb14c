"""Tells somebody that a sweep has ended: by a command, a webhook, or both. What fails here costs the sweep nothing."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from experiments.sweep import Notify
from experiments.sweep.schema.search import checked_address, environment_variable

COMMAND_SECONDS = 60.0
WEBHOOK_SECONDS = 15.0

Ending = Literal["complete", "failed", "budget", "error"]
"""How a sweep ends: every run complete; some of them failed; the rest beyond the budget; or by an error on the way."""


@dataclass(frozen=True)
class Message:
    """What is told.

    sentence: the answer to the sweep's question, or what has stopped it. remarks: what must be known beside it.
    runs, done, failed: how many runs there are, have ended, and have ended in an error.
    leaderboard, report: files; report is None where none was written.
    """

    sweep: str
    question: str
    ending: Ending
    sentence: str
    remarks: tuple[str, ...]
    runs: int
    done: int
    failed: int
    leaderboard: Path
    report: Path | None = None

    @property
    def text(self) -> str:
        """The message for people, several lines."""
        counts = f"{self.done - self.failed} of {self.runs} runs complete, {self.failed} failed"
        head = f"Sweep {self.sweep}: {self.ending}, {counts}"
        files = [f"Leaderboard: {self.leaderboard}", *([f"Report: {self.report}"] if self.report is not None else [])]
        return "\n".join(part for part in (head, self.question, self.sentence, *self.remarks, *files) if part)

    def to_json(self) -> dict[str, Any]:
        """What a webhook gets; ``text`` is what chat services show."""
        return {
            "text": self.text,
            "sweep": self.sweep,
            "question": self.question,
            "outcome": self.ending,
            "answer": self.sentence,
            "remarks": list(self.remarks),
            "runs": self.runs,
            "done": self.done,
            "failed": self.failed,
            "leaderboard": str(self.leaderboard),
            "report": str(self.report) if self.report is not None else None,
        }

    def environment(self) -> dict[str, str]:
        """What a command gets beside the text on its standard input."""
        values = {
            "SWEEP": self.sweep,
            "SWEEP_OUTCOME": self.ending,
            "SWEEP_ANSWER": self.sentence,
            "SWEEP_RUNS": str(self.runs),
            "SWEEP_DONE": str(self.done),
            "SWEEP_FAILED": str(self.failed),
            "SWEEP_LEADERBOARD": str(self.leaderboard),
            "SWEEP_REPORT": str(self.report) if self.report is not None else "",
        }
        # A NUL, which names of configurations may hold, ends a variable.
        return {name: value.replace("\0", "") for name, value in values.items()}


def send(message: Message, notify: Notify, warn: Callable[[str], None]) -> None:
    """Tells whom `notify` names. warn: told in one line of what could not be done; nothing is raised for it.

    The command has a minute. Neither way asks a shell: nothing in the message or in the command is run by being there.
    """
    if notify.command is not None and (fault := _run(notify.command, message)):
        warn(f"notify.command: {fault}; the sweep is none the worse for it")
    if notify.webhook is not None and (fault := _post(notify.webhook, message)):
        warn(f"notify.webhook: {fault}; the sweep is none the worse for it")


def _run(command: str, message: Message) -> str:
    """Runs the command; what went wrong, '' if nothing did."""
    words = shlex.split(command)
    with tempfile.TemporaryFile() as errors:  # a pipe would be waited for as long as any child of the command holds it
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **message.environment()},
                start_new_session=True,  # so that it can be ended with all that it has started
            )
        except (OSError, ValueError) as error:
            return f"{words[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
        try:
            process.communicate(message.text.encode(errors="replace"), timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{words[0]} was ended after {COMMAND_SECONDS:g} s"
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not process.returncode:
            return ""
        errors.seek(0)
        said = errors.read(10_000).decode(errors="replace").strip().splitlines()
        return ": ".join([f"{words[0]} ended with {process.returncode}", *said[-1:]])


def _post(webhook: str, message: Message) -> str:
    """Posts the message; what went wrong, '' if nothing did. The address, which may be a secret, is never told."""
    variable = environment_variable(webhook)
    try:
        address = checked_address(os.environ.get(variable)) if variable else webhook
    except ValueError as error:
        return f"the environment variable {variable} is not set, or {error}"
    try:
        # Not read: an answer without an end would never be done.
        with requests.post(
            address, json=message.to_json(), timeout=WEBHOOK_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            return "" if answer.status_code < 300 else f"answered {answer.status_code} {answer.reason}"
    except (requests.RequestException, ValueError) as error:
        return f"could not be reached ({type(error).__name__})"

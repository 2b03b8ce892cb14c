"""A browser without a window, spoken to over a pair of pipes, and tables of a leaderboard made by hand."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.report.scoreboard import Scoreboard, ScoreRow

# Whatever is fetched is to be fetched by the page, and not by the browser on its own account.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
PATIENCE = 300.0


class Browser:
    """Chromium, by its DevTools protocol: JSON messages that end in a zero byte, on file descriptors 3 and 4."""

    def __init__(self, program: str, profile: Path) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # High numbers first, so that neither end stands where the other has to go.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (theirs_in, theirs_out)]
        self._process = subprocess.Popen(
            [program, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=lambda: (os.dup2(high[0], 3), os.dup2(high[1], 4)),
            start_new_session=True,
        )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self._in, self._out, self._buffer, self._number = ours_in, ours_out, bytearray(), 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command. Events that come before it are kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda found: found.get("id") == self._number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def wait_for(self, event: str) -> None:
        """Waits for an event that has not come yet, or has."""
        if not any(each["method"] == event for each in self.events):
            self._until(lambda found: found.get("method") == event)

    def _until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self._buffer:
                text, _, rest = self._buffer.partition(b"\0")
                self._buffer = bytearray(rest)
                found = json.loads(text)
                if "method" in found:
                    self.events.append(found)
                if wanted(found):
                    return found
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            block = os.read(self._in, 1 << 20)
            assert block, "the browser has ended"
            self._buffer += block

    def close(self) -> None:
        """Ends the browser with all its processes."""
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Tab:
    """A page in a browser at one width, with all that it said and asked for."""

    def __init__(self, browser: Browser, width: int, height: int = 844) -> None:
        self._browser = browser
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command to this page."""
        return self._browser.call(method, self._session, **parameters)

    def open(self, page: Path) -> None:
        """Goes to a file, and waits until it is there with all its pictures."""
        self._browser.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self._browser.wait_for("Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript, as JSON knows it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key on the keyboard, such as ``Tab`` or ``Enter``."""
        text = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            given = text if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **given)

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Everything on the console: messages, uncaught errors, and what the browser itself has to say."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self._browser.events if event["method"] in names]

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for, but data that stand in the page."""
        asked = [event for event in self._browser.events if event["method"] == "Network.requestWillBeSent"]
        addresses = [event["params"]["request"]["url"] for event in asked]
        return [address for address in addresses if not address.startswith("data:")]

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium without a window; skips where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def tab(browser: Browser) -> Callable[[int], Tab]:
    """Makes a tab of a width in pixels."""
    return lambda width: Tab(browser, width)


def score_row(
    name: str, rank: int | None = None, *, status: str = "complete", tied: bool = False, **numbers: float
) -> ScoreRow:
    """A row with what is given; scores as ``dice_mean=0.5``."""
    cells = {
        "rank": "" if rank is None else str(rank),
        "configuration": f"id of {name}",
        "status": status,
        "tied_with_best": "" if rank is None else "true" if tied or rank == 1 else "false",
        **{column: format(value, ".6g") for column, value in numbers.items()},
    }
    return ScoreRow(name, cells)


@pytest.fixture
def board() -> Callable[..., Scoreboard]:
    """Makes a scoreboard of rows, each ``(name, score, {more})``; without a score a row has no rank.

    Scores fall by rank; more: as the options and numbers of `score_row`.
    """

    def make(*rows: tuple[str, float | None, dict[str, Any]], objective: str = "dice") -> Scoreboard:
        made = []
        for rank, (name, score, more) in enumerate(rows, start=1):
            scored = {} if score is None else {f"{objective}_mean": score}
            made.append(score_row(name, None if score is None else rank, **scored, **more))
        return Scoreboard(objective, "max", (), tuple(made))

    return make

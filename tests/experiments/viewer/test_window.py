"""``python -m experiments.view``: in a real window with real keys, and without a display."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ImageGrab

from experiments.view.__main__ import main
from experiments.viewer.window import TITLE, obstacle

PATIENCE = 180.0
# On a loaded machine OpenCV's Qt misses in one of four that its window was mapped, and never draws into it: a bare
# ``namedWindow`` and ``imshow`` do so, too. Nothing but another window helps.
OPENINGS, BLANK_SECONDS = 8, 20.0

needs_x = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")),
    reason="Xvfb and xdotool are not installed (apt-get install xvfb xdotool)",
)


@pytest.fixture
def display() -> Iterator[str]:
    """An X server without a screen; its DISPLAY."""
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1100x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as server:
        os.close(theirs)
        try:
            with os.fdopen(ours) as told:
                yield f":{told.readline().strip()}"
        finally:
            server.terminate()


@dataclass
class Desktop:
    """A viewer on a display, its keyboard and its screen."""

    environment: dict[str, str]
    viewer: subprocess.Popen[bytes]
    window: int = 0

    def tell(self, *arguments: str) -> str:
        """What xdotool answers."""
        asked = subprocess.run(
            ["xdotool", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()

    def focus(self) -> None:
        """Waits for the window, and gives it the keys, which without a window manager nobody else does."""
        found = self.until(lambda: self.tell("search", "--onlyvisible", "--name", f"^{TITLE}$"), "a window")
        self.window = int(found.split()[0])
        self.tell("windowfocus", str(self.window))

    def screen(self) -> np.ndarray:
        return np.asarray(ImageGrab.grab(xdisplay=self.environment["DISPLAY"]).convert("RGB"))

    def has_picture(self) -> bool:
        """Whether anything is drawn into the window before long."""
        end = time.monotonic() + BLANK_SECONDS
        while not (drawn := self.screen().std() > 10) and time.monotonic() < end:
            time.sleep(0.1)
        return bool(drawn)

    def until(self, found: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if answer := found():
                return answer
            assert self.viewer.poll() is None, f"ended before {what}"
            time.sleep(0.1)
        raise AssertionError(f"waited in vain for {what}")

    def settled(self) -> np.ndarray:
        """The screen once it stays as it is: a picture comes after its announcement, trackbars after keys."""
        shots = [self.screen()]

        def at_rest() -> bool:
            time.sleep(0.4)
            shots.append(self.screen())
            return np.array_equal(shots[-1], shots[-2])

        self.until(at_rest, "a screen at rest")
        return shots[-1]

    def save(self, output: Path) -> None:
        """Saves what is shown, and so waits until it is predicted and drawn."""
        for path in output.glob("*"):
            path.unlink()
        self.tell("key", "s")
        self.until(lambda: len(list(output.glob("*_view.png"))) == 1, "saved files")

    def press(self, *keys: str) -> np.ndarray:
        """Presses keys one by one, each of which must change the screen; the screen in the end."""
        picture = self.settled()
        for key in keys:
            before = picture
            self.tell("key", key)
            self.until(lambda before=before: not np.array_equal(self.screen(), before), f"{key} to do something")
            picture = self.settled()
        return picture

    def close(self) -> None:
        """What a window manager does when a window's close button is pressed: a message, ICCCM 4.2.8.1."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        server = ctypes.c_void_p(x11.XOpenDisplay(self.environment["DISPLAY"].encode()))
        protocols, delete = (x11.XInternAtom(server, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        # An XClientMessageEvent of 8 bytes a field: type, serial, send_event, display, window, message, format, data.
        event = (ctypes.c_long * 24)(33, 0, 0, 0, self.window, protocols, 32, delete)
        assert x11.XSendEvent(server, ctypes.c_ulong(self.window), 0, ctypes.c_long(0), ctypes.byref(event))
        x11.XCloseDisplay(server)


@contextmanager
def started(command: list[str], display: str, **options: Any) -> Iterator[Desktop]:
    """The desktop of a command that is started, and ended if it still runs. options: of Popen."""
    environment = {**os.environ, "DISPLAY": display, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, **options) as viewer:
        try:
            yield Desktop(environment, viewer)
        finally:
            if viewer.poll() is None:
                viewer.terminate()


@pytest.fixture
def desktop(sweep: Any, images: Path, display: str, tmp_path: Path) -> Iterator[Desktop]:
    """The command with its window open and its first image shown; it prints into ``tmp_path / "log"``."""
    command = [sys.executable, "-m", "experiments.view", "--sweep", "tiny", "--results", str(sweep.results)]
    command += ["--image", str(images), "--output", str(tmp_path / "out"), "--device", "cpu"]
    for _ in range(OPENINGS):
        with (tmp_path / "log").open("w") as log, started(command, display, stdout=log, stderr=log) as opened:
            opened.focus()
            if opened.has_picture():
                yield opened
                return
    raise AssertionError(f"{OPENINGS} windows, and no picture in any")


@needs_x
@pytest.mark.slow
def test_the_window_answers_real_keys(desktop: Desktop, images: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    desktop.save(output)
    first = desktop.settled()
    desktop.press("bracketleft", "bracketright")
    desktop.until(lambda: np.array_equal(desktop.screen(), first), "the first threshold again")
    desktop.press("t", "t", "plus", "c", "z")
    desktop.save(output)
    shot = desktop.settled()
    desktop.press("Right", "Right")  # the last one is no image
    desktop.tell("key", "s")
    # Of two keys that wait in a busy window OpenCV answers the last one.
    desktop.until(lambda: "There is nothing to save" in log.read_text(), "an answer to s")
    desktop.tell("key", "q")
    assert desktop.viewer.wait(PATIENCE) == 0, log.read_text()
    if folder := os.environ.get("VIEWER_SCREENSHOTS"):
        cv2.imwrite(str(Path(folder) / "viewer.png"), shot[..., ::-1])
    printed = log.read_text()
    assert "next image" in printed and "Traceback" not in printed
    assert {path.name for path in output.glob("*")} == {"1_mask.png", "1_view.png"}
    mask, image = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (output / "1_mask.png", images / "1.png"))
    assert mask.shape == image.shape[:2]


BUSY = """
import sys, time
from pathlib import Path
import cv2, torch
from experiments.prediction import open_ensemble, select_runs
from experiments.prediction.images.sources import find_images
from experiments.prediction.images.truth import TrueMasks
from experiments.viewer import Desk
from experiments.viewer.window import look

def read(path):
    (output / "reading").touch()
    while not (output / "pressed").exists():
        time.sleep(0.05)
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)

results, image, output = map(Path, sys.argv[1:])
ensemble = open_ensemble(select_runs(results, "tiny"), torch.device("cpu"))
look(Desk(ensemble, find_images([str(image)], output).sources, TrueMasks(), read), output, print, lambda: None)
"""


@needs_x
@pytest.mark.slow
def test_a_key_that_is_pressed_before_there_is_a_picture_counts(
    sweep: Any, images: Path, display: str, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    command = [sys.executable, "-c", BUSY, str(sweep.results), str(images / "1.png"), str(output)]
    with started(command, display, cwd=Path(__file__).parents[3]) as opened:
        opened.until((output / "reading").exists, "an image that is being read")
        opened.focus()
        opened.tell("key", "q")
        (output / "pressed").touch()
        assert opened.viewer.wait(PATIENCE) == 0


@needs_x
@pytest.mark.slow
def test_closing_the_window_ends_the_command(desktop: Desktop, tmp_path: Path) -> None:
    desktop.close()
    assert desktop.viewer.wait(PATIENCE) == 0, (tmp_path / "log").read_text()


def test_without_a_display_there_is_a_contact_sheet(
    sweep: Any, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    given = ["--sweep", "tiny", "--results", str(sweep.results), "--image", str(images), "--device", "cpu"]
    assert main([*given, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "DISPLAY is not set" in printed or "pip install" in printed
    assert "A contact sheet instead" in printed
    page = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert page.shape[1] > 3 * 380 and len(np.unique(page)) > 50


@needs_x
def test_a_display_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    reason = obstacle()
    assert "':4711'" in reason or "pip install" in reason


def test_mistakes_are_one_message_and_exit_code_2(sweep: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweep", "tinny", "--results", str(sweep.results), "--image", "x.png"]) == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err
    assert main(["--sweep", "tiny", "--results", str(sweep.results), "--image", "missing.png"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_help_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and "python -m experiments.view" in printed
    assert all(option in printed for option in ("--sweep", "--image", "--masks", "--gpu", "--contact-sheet"))

"""The window: OpenCV's, with trackbars. What it shows and what keys do is decided elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import matplotlib

from experiments.viewer.desk import Desk
from experiments.viewer.state import TRACKBARS, View, moved, pressed

TITLE = "Predictions"

_WAIT_MS = 30
_NO_KEY = -1
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"
_PROBE_SECONDS = 120


def obstacle() -> str:
    """Why no window can be opened here and what to do about it; '' if one can.

    Tried in a process of its own: without a display Qt ends the process that asks for a window.
    """
    version = cv2.__version__
    if "NONE" in _gui():
        return (
            "This OpenCV is the headless one, which has no windows. To get them:\n"
            f"  pip install --force-reinstall --no-deps opencv-python~={version}"
        )
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"} & set(os.environ):
        return (
            "There is no display: DISPLAY is not set. On a machine with a screen start this in its desktop; from "
            "elsewhere log in with\n  ssh -X <machine>\nor, on a screen that is already in use there,\n"
            "  export DISPLAY=:0"
        )
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"No window opened on the display {os.environ.get('DISPLAY', '')!r} within {_PROBE_SECONDS} s"
    if ended.returncode == 0:
        return ""
    said = [line for line in ended.stderr.splitlines() if "could not" in line or "rror" in line]
    told = (said or ended.stderr.splitlines() or ["no reason given"])[0].strip()
    display = os.environ.get("DISPLAY", "")
    return f"No window can be opened on the display {display!r}: {told}. Set DISPLAY to one that is there"


def look(desk: Desk, output: Path, say: Callable[[str], None], check: Callable[[], None]) -> None:
    """Shows the window until it is closed. check: called many times a second; may raise to stop."""
    with _captions():
        _open(desk.first())
        try:
            _attend(desk, output, say, check)
        finally:
            cv2.destroyAllWindows()


def _open(view: View) -> None:
    cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
    for caption, (field, low, high) in TRACKBARS.items():
        cv2.createTrackbar(caption, TITLE, getattr(view, field), high, lambda _: None)
        cv2.setTrackbarMin(caption, TITLE, low)


def _attend(desk: Desk, output: Path, say: Callable[[str], None], check: Callable[[], None]) -> None:
    """Shows what keys and trackbars ask for, until the window is closed."""
    view, shown = desk.first(), None
    while True:
        check()
        code = _NO_KEY
        if view != shown:
            code = _show(desk, view)
            shown = view
        if code == _NO_KEY:
            code = cv2.waitKeyEx(_WAIT_MS)
        if not _is_open():
            return
        turned = _trackbars(view)
        answer = pressed(turned, code)
        if answer == "quit":
            return
        if answer == "save":
            say(_saved(desk, turned, output))
            answer = turned
        view = answer
        _follow(view)


def _saved(desk: Desk, view: View, output: Path) -> str:
    try:
        return "\n".join(f"Saved: {path}" for path in desk.save(view, output)) or "There is nothing to save"
    except OSError as error:
        return f"Not saved: {error}"


def _is_open() -> bool:
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # Qt's way to say that the last of its windows was closed
        return False


def _show(desk: Desk, view: View) -> int:
    """Shows a view. Returns the key that was pressed meanwhile, if one was."""
    code = _NO_KEY
    if not desk.is_ready(view):
        cv2.imshow(TITLE, cv2.cvtColor(desk.picture(view, predicted=False), cv2.COLOR_RGB2BGR))
        code = cv2.waitKeyEx(1)  # draws it, before the networks take their time
        if not _is_open():
            return code  # what is shown now would open another window
    cv2.imshow(TITLE, cv2.cvtColor(desk.picture(view), cv2.COLOR_RGB2BGR))
    return code


def _trackbars(view: View) -> View:
    """The view with what the trackbars say."""
    for caption in TRACKBARS:
        view = moved(view, caption, cv2.getTrackbarPos(caption, TITLE))
    return view


def _follow(view: View) -> None:
    """Moves the trackbars to what the keys have made of the view."""
    for caption, (field, _, _) in TRACKBARS.items():
        if cv2.getTrackbarPos(caption, TITLE) != getattr(view, field):
            cv2.setTrackbarPos(caption, TITLE, getattr(view, field))


@contextmanager
def _captions() -> Iterator[None]:
    """OpenCV's wheels bring Qt without the fonts that it looks for: without this, trackbars have no captions."""
    given = os.environ.get("QT_QPA_FONTDIR")
    if given and Path(given).is_dir():
        yield
        return
    with TemporaryDirectory() as folder:
        # Alone in its folder: Qt would take the first of many, which is one for formulas.
        shutil.copy(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), folder)
        os.environ["QT_QPA_FONTDIR"] = folder
        yield


def _gui() -> str:
    return next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "NONE")

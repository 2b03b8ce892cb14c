"""A checkpoint is whole or not there, and the end of the process is never taken for the failure of a run."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from experiments.training import checkpoint
from experiments.training.execution import Execution
from utils.faults import interruption_behind
from utils.files import disk_full

REPOSITORY = Path(__file__).parents[4]
STATE = {"network": {"weight": torch.arange(3000.0), "bias": torch.ones(3)}, "epoch": 7, "best": [0.5, 3]}


class FailingFile:
    """A file whose n-th write raises."""

    def __init__(self, file: IO[bytes], position: int, error: BaseException) -> None:
        self.file, self.left, self.error = file, position, error

    def __enter__(self) -> FailingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: Any) -> int:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return self.file.fileno()


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, BaseException], None]]:
    """Makes the n-th write to every file that is opened from now on raise."""
    opened = os.fdopen

    def fail(position: int, error: BaseException) -> None:
        monkeypatch.setattr(os, "fdopen", lambda *given: FailingFile(opened(*given), position, error))

    yield fail
    monkeypatch.undo()


@pytest.mark.parametrize("kind", ["the end of the process", "Ctrl-C", "a full disk"])
def test_whichever_write_fails_the_reason_is_raised_and_the_old_file_stands(
    tmp_path: Path, fail_at: Callable[[int, BaseException], None], kind: str
) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"epoch": 6})
    before, position = path.read_bytes(), 0
    while True:
        position += 1
        error = {
            "the end of the process": SystemExit(15),
            "Ctrl-C": KeyboardInterrupt(),
            "a full disk": OSError(errno.ENOSPC, "No space left on device"),
        }[kind]
        fail_at(position, error)
        try:
            checkpoint.save(path, STATE)
        except BaseException as raised:
            assert raised is error, position
        else:
            break
        assert path.read_bytes() == before, position
        assert list(tmp_path.iterdir()) == [path], "a part was left behind"
    assert position > 20, "torch writes in fewer pieces than this test is about"
    assert checkpoint.load(path, torch.device("cpu"))["epoch"] == 7


# Every byte code inside torch's writing is a place where Python may run the handler of a signal.
INTERRUPTED = """
import sys
from pathlib import Path
import torch
from experiments.training import checkpoint

path, state = Path(sys.argv[1]), {"weight": torch.zeros(10), "numbers": [1, torch.ones(2)]}
checkpoint.save(path, state)

def save(interrupted_at):
    passed = 0
    def trace(frame, event, argument):
        nonlocal passed
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == interrupted_at:
                raise SystemExit(15)
        return trace
    sys.settrace(trace)
    try:
        checkpoint.save(path, state)
    finally:
        sys.settrace(None)
    return passed

places = save(0)
ended = 0
for place in range(1, places, 3):
    try:
        save(place)
    except SystemExit:
        ended += 1
    assert checkpoint.load(path, torch.device("cpu")) is not None, place
print(ended / len(range(1, places, 3)))
"""


@pytest.mark.slow
def test_a_signal_anywhere_while_a_checkpoint_is_written_ends_the_process_and_nothing_else(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-W", "ignore", "-c", INTERRUPTED, str(tmp_path / "last.pt")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    # Python itself loses what is raised while an object is being deleted.
    assert float(done.stdout) > 0.99


def chained(first: BaseException, *later: BaseException, hide: bool = False) -> BaseException:
    """Errors as Python chains them when each is raised while the one before is handled."""
    for error in later:
        try:
            try:
                raise first
            except BaseException:
                if hide:
                    raise error from None
                raise error  # noqa: B904 - the chain that Python makes of it is what is tested
        except BaseException as raised:
            first = raised
    return first


@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("end", [SystemExit(15), KeyboardInterrupt()])
def test_the_end_of_the_process_is_found_behind_other_errors(end: BaseException, hide: bool) -> None:
    assert interruption_behind(end) is end
    assert interruption_behind(chained(end, RuntimeError("short"), ValueError("bad"), hide=hide)) is end
    caused = RuntimeError("a callback failed")
    caused.__cause__ = end
    assert interruption_behind(caused) is end


def test_a_failure_is_no_end_of_the_process() -> None:
    assert interruption_behind(chained(OSError("full"), RuntimeError("short"))) is None
    assert interruption_behind(chained(GeneratorExit(), ValueError("while a generator was let go of"))) is None
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert interruption_behind(one) is None


def test_a_run_ended_by_a_signal_has_no_record_and_goes_on(
    bench: Any, tmp_path: Path, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bench.spec(tmp_path, {"training.epochs": 2})
    execution, end = Execution(spec), SystemExit(15)
    execution.step()

    def answer(*_: object, **__: object) -> None:
        raise RuntimeError("a library's own words") from end

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", answer)
        with pytest.raises(SystemExit) as raised:
            execution.step()
    assert raised.value is end
    execution.close()
    assert not (tmp_path / "record.json").exists() and not (tmp_path / "error.txt").exists()
    bench.execute(spec)
    assert (tmp_path / "cases.csv").read_bytes() == (finished.folder / "cases.csv").read_bytes()
    assert bench.record(spec)["status"] == "complete"


def test_a_run_whose_checkpoint_cannot_be_written_says_why(
    bench: Any, tmp_path: Path, fail_at: Callable[[int, BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = Execution(bench.spec(tmp_path, {"training.epochs": 1}))
    fail_at(7, OSError(errno.EIO, "Input/output error"))
    assert execution.step().ended
    monkeypatch.undo()
    assert bench.record(execution.spec)["error"] == "OSError: [Errno 5] Input/output error"


def test_a_full_disk_is_no_failure_of_the_run_which_goes_on_when_there_is_room(
    bench: Any, tmp_path: Path, fail_at: Callable[[int, BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = Execution(bench.spec(tmp_path, {"training.epochs": 1}))
    fail_at(7, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError) as raised:
        execution.step()
    assert disk_full(raised.value)
    execution.close()
    monkeypatch.undo()
    assert not (execution.spec.folder / "record.json").exists()
    again = Execution(execution.spec)
    assert again.step().ended
    assert bench.record(execution.spec)["status"] == "complete"


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """torch itself reads over the checksums that it has written: nearly every flipped bit is a wrong weight."""
    path, chance, noticed = tmp_path / "last.pt", random.Random(0), 0
    checkpoint.save(path, STATE)
    sound = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            state = checkpoint.load(path, torch.device("cpu"))
        if state is None:
            noticed += 1
            assert "cannot be read" in str(said[0].message)
        else:
            assert state.keys() == {"format", *STATE} and state["epoch"] == 7 and state["best"] == [0.5, 3]
            assert all(torch.equal(state["network"][name], tensor) for name, tensor in STATE["network"].items())
    assert noticed > 100


def test_a_best_checkpoint_that_is_damaged_while_its_run_goes_on_starts_it_over(bench: Any, tmp_path: Path) -> None:
    undisturbed = Execution(bench.spec(tmp_path / "a", {"training.epochs": 2}))
    while not undisturbed.step().ended:
        pass
    execution = Execution(bench.spec(tmp_path / "b", {"training.epochs": 2}))
    execution.step()
    best = execution.spec.folder / "best.pt"
    best.write_bytes(best.read_bytes()[:-100])
    # Of no later epoch, or it would be written anew.
    execution._run.best = (2.0, 1)  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match="starting over"):
        assert not execution.step().ended
    while not execution.step().ended:
        pass
    assert bench.record(execution.spec)["metrics"] == bench.record(undisturbed.spec)["metrics"]

"""A file is whole or not there, and a full disk is told from other failures whatever was made of it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import BinaryIO

import pytest

from utils.files import disk_full, free_bytes, write_atomically, write_text_atomically


def raised_from(cause: BaseException) -> BaseException:
    """An exception as a library raises it over another one."""
    try:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("cannot write") from error
    except RuntimeError as error:
        return error


def raised_over(cause: BaseException) -> BaseException:
    """An exception raised while another one passes."""
    try:
        try:
            raise cause
        finally:
            raise RuntimeError("unexpected position")
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_spent_quota_are_known_through_other_exceptions(number: int) -> None:
    full = OSError(number, "no more")
    assert disk_full(full)
    assert disk_full(raised_from(full)) and disk_full(raised_over(full)) and disk_full(raised_over(raised_from(full)))


def test_other_failures_are_none() -> None:
    other = OSError(errno.EACCES, "not yours")
    for error in (other, raised_from(other), raised_over(other), ValueError("28"), KeyError(28)):
        assert not disk_full(error)
    around = RuntimeError("its own cause")
    around.__cause__ = around
    assert not disk_full(around)


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text_atomically(path, "old")

    def fill(file: BinaryIO) -> None:
        file.write(b"ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fill)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_what_is_free_is_what_the_system_says(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)

"""What ``--download`` may be given in place of the dataset; the test's own server hands out ``archive``."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.bad_inputs.bad_input import BadInputs, Make, sweep
from tests.bad_inputs.data import SWEEP, image

# What came is kept beside the place of the dataset, for the user to look at.
bad = BadInputs()


def _served(archive: bytes) -> Make:
    def make(folder: Path) -> list[str]:
        (folder / "archive").write_bytes(archive)
        sweep(folder, SWEEP.replace("root: data", "root: fetched"))
        return ["sweep.yaml", "--download"]

    return make


def _zip(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def _bomb() -> bytes:
    """A zip of a few hundred bytes that states, and would fill, four terabytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("benign/a.png", bytes(99_999))
        archive.infolist()[0].file_size = 4 * 10**12
    return content.getvalue()


def _tar(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of (name, type, target of the link)."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            member.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"evil"))
    return content.getvalue()


_LAYOUT = ("--download", "no longer has the layout of the dataset 'busi'", ".fetched.part")
_REFUSED = ("--download", "would unpack to at least 4,000,000,000,000", "refused", ".fetched.part")
_FAILED = ("--download", "the download failed", "kaggle.com/datasets", "--demo")

for _name, (_archive, _says) in {
    "of_nothing": (b"", _FAILED),
    "of_garbage": (b"PK but no archive", _FAILED),
    "cut_in_the_middle": (_zip({"benign/a.png": bytes(9999), "normal/b.png": bytes(range(256))})[:200], _FAILED),
    "of_another_layout": (_zip({"pictures/a.png": b"evil"}), _LAYOUT),
    "zip_that_climbs_out": (_zip({"../../outside/evil.png": b"evil", "../evil.png": b"evil"}), _LAYOUT),
    "zip_of_absolute_names": (_zip({"/tmp/evil.png": b"evil"}), _LAYOUT),
    "zip_that_is_a_bomb": (_bomb(), _REFUSED),
    "tar_that_climbs_out": (_tar(("../../outside/evil.png", tarfile.REGTYPE, "")), _FAILED),
    "tar_with_a_link_that_leads_out": (_tar(("benign", tarfile.SYMTYPE, "../../outside")), _FAILED),
    "tar_with_a_hard_link_that_leads_out": (_tar(("a.png", tarfile.LNKTYPE, "../../outside/picture.png")), _FAILED),
    "tar_with_a_device": (_tar(("benign/a.png", tarfile.CHRTYPE, "")), _FAILED),
}.items():
    bad.add(f"archive_{_name}", _served(_archive), _says)


@bad(("dataset.root", "holds something other than the dataset 'busi'; name a new or empty folder", "got 'fetched'"))
def folder_to_fetch_into_that_holds_something_else(folder: Path) -> list[str] | None:
    (folder / "fetched").mkdir()
    (folder / "fetched" / "thesis.tex").write_text("years of work")
    return _served(b"")(folder)


@bad(("dataset.root", "holds something other than the dataset", "got 'data/benign/benign (1).png'"))
def place_to_fetch_into_that_is_a_file(folder: Path) -> list[str]:
    sweep(folder, SWEEP.replace("root: data", f"root: '{image(folder).relative_to(folder)}'"))
    return ["sweep.yaml", "--download"]

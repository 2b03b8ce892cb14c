"""Fetching a dataset from Kaggle to the folder in which its class looks for it.

A registered dataset that can be fetched says where from in its class attribute `kaggle_handle`.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.datasets.case import DATASETS
from utils.errors import Problem, UserError
from utils.files import free_bytes

# Images are compressed already: an archive that grows more than this, and to more than that, is no dataset.
_MOST_GROWTH, _HARMLESS_BYTES = 100, 2**30

_WITHOUT_KAGGLE = "or unpack {url} there by hand; `--demo` needs no data"


def download(dataset_name: str, root: Path) -> Path:
    """Puts a dataset at `root` and returns `root`; where the dataset is there already, nothing is fetched.

    Fetches beside `root` and renames, so that an interrupted download is never taken for the dataset.
    Raises UserError when the dataset has no source, `root` holds something else, or Kaggle does not deliver.
    """
    factory = DATASETS[dataset_name]
    handle = getattr(factory, "kaggle_handle", "")
    if not handle:
        message = "has no source to download from; it is made on the spot, or its folder is given as dataset.root"
        raise UserError(Problem(where="--download", message=message, value=dataset_name))
    root = Path(root)
    if _holds_dataset(dataset_name, root):
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        message = f"holds something other than the dataset {dataset_name!r}; name a new or empty folder"
        raise UserError(Problem(where="dataset.root", message=message, value=str(root)))
    unfinished = root.with_name(f".{root.name}.part")
    _fetch(handle, unfinished, root)
    if not _holds_dataset(dataset_name, unfinished):
        message = f"{handle} no longer has the layout of the dataset {dataset_name!r}; what came lies in {unfinished}"
        raise UserError(Problem(where="--download", message=message))
    if root.exists():
        root.rmdir()
    unfinished.replace(root)
    return root


def _holds_dataset(name: str, root: Path) -> bool:
    try:
        return len(DATASETS[name](root).cases()) > 0
    except UserError:
        return False


def _fetch(handle: str, folder: Path, root: Path) -> None:
    """Downloads and unpacks a Kaggle dataset into `folder`. Raises UserError with what the user can do."""
    try:
        # Imported here: it takes half a second and only a download needs it.
        import kagglehub
        import requests
        from kagglehub.exceptions import BackendError, DataCorruptionError, UnauthenticatedError
    except ImportError as error:
        message = f"needs the package kagglehub (pip install kagglehub): {error}"
        raise UserError(Problem("--download", message)) from error
    elsewhere = _WITHOUT_KAGGLE.format(url=f"https://www.kaggle.com/datasets/{handle} into {root}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # What an interrupted download left is neither complete nor marked: start over.
        shutil.rmtree(folder, ignore_errors=True)
        with _bounded_unpacking():
            kagglehub.dataset_download(handle, output_dir=str(folder))
    except (requests.ConnectionError, requests.Timeout) as error:
        message = f"Kaggle cannot be reached ({type(error).__name__}): connect to the internet, {elsewhere}"
        raise UserError(Problem("--download", message)) from error
    except (requests.HTTPError, UnauthenticatedError) as error:
        response = getattr(error, "response", None)
        if response is not None and response.status_code not in (401, 403):
            message = f"Kaggle refused ({_first_line(error)}): try again later, {elsewhere}"
        else:
            message = (
                f"Kaggle asks for credentials ({_first_line(error)}): set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and "
                f"KAGGLE_KEY, or put kaggle.json into ~/.kaggle (kaggle.com, Settings, API), {elsewhere}"
            )
        raise UserError(Problem("--download", message)) from error
    # ValueError: a damaged ~/.kaggle/kaggle.json; OSError: a full disk, a folder without write permission, or any
    # other complaint of requests; TarError: a member that would be unpacked outside of the folder.
    except (BackendError, DataCorruptionError, zipfile.BadZipFile, tarfile.TarError, ValueError, OSError) as error:
        raise UserError(Problem("--download", f"the download failed ({_first_line(error)}): {elsewhere}")) from error


@contextmanager
def _bounded_unpacking() -> Iterator[None]:
    """In here kagglehub, which unpacks an archive whatever comes out of it, asks us first."""
    from kagglehub import http_resolver

    unpack = http_resolver._extract_archive

    def check_and_unpack(archive: str, folder: str) -> None:
        _check_growth(Path(archive))
        unpack(archive, folder)

    http_resolver._extract_archive = check_and_unpack
    try:
        yield
    finally:
        http_resolver._extract_archive = unpack


def _check_growth(archive: Path) -> None:
    """Raises UserError for an archive that unpacks to more than its disk takes, or than a dataset would.

    Neither zipfile nor tarfile unpacks more of a member than its header states.
    """
    size, free = archive.stat().st_size, free_bytes(archive.parent)
    most = min(free, max(_HARMLESS_BYTES, _MOST_GROWTH * size))
    unpacked = 0
    for member in _stated_sizes(archive):
        unpacked += member
        if unpacked > most:
            stated = f"an archive of {size:,} bytes would unpack to at least {unpacked:,}, {free:,} are free"
            raise UserError(Problem("--download", f"{stated}: refused; it lies in {archive}"))


def _stated_sizes(archive: Path) -> Iterator[int]:
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            yield from (member.size for member in tar)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield from (member.file_size for member in zipped.infolist())


def _first_line(error: Exception, limit: int = 200) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:limit]

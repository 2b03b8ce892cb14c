"""Pretrained weights, fetched and checked once on the driver, so that workers only ever read a local file.

smp's encoders and timm's come from the Hugging Face hub with its own client and cache (HF_HOME), torchvision's and a
few of timm's from a URL into torch's cache (TORCH_HOME). A file is trusted when it is whole: the hub's cache names a
file by its SHA-256, URLs end in the first digits of it, and a safetensors file says how long it is. One that is not
whole is deleted and fetched again, once.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import ssl
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

from models.encoders.names import TIMM_PREFIX, check_encoder
from models.encoders.registry import WEIGHT_URLS, load_own_encoders
from utils.errors import Problem, UserError
from utils.files import write_atomically
from utils.identity import file_digest

SECONDS_WITHOUT_AN_ANSWER = 15


class HubFile(NamedTuple):
    """A file on the Hugging Face hub; the revision is a commit, or None for the newest."""

    repository: str
    filename: str
    revision: str | None

    def __str__(self) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.filename, revision=self.revision)

    def fetch(self, cache: Path | None) -> Path:
        """The path in the hub's cache, downloaded if it is not there."""
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        fetch = functools.partial(
            hf_hub_download, self.repository, self.filename, revision=self.revision, cache_dir=cache
        )
        try:
            return Path(fetch(local_files_only=True))
        except LocalEntryNotFoundError:
            # Without a network the client tries for 23 seconds, for each of a sweep's encoders.
            _reach(constants.ENDPOINT)
            return Path(fetch())

    def checksum(self, path: Path) -> str:
        """The SHA-256 the file must have: the cache names it so, except on file systems without links."""
        name = path.resolve().name
        return name if re.fullmatch(r"[0-9a-f]{64}", name) else ""

    def folder(self, cache: Path | None) -> Path:
        """Where the hub's client keeps its files."""
        from huggingface_hub import constants

        return cache or Path(constants.HF_HUB_CACHE)


class UrlFile(NamedTuple):
    """A file behind a URL whose name may end in the first digits of its SHA-256."""

    url: str

    def __str__(self) -> str:
        return self.url

    def fetch(self, cache: Path | None) -> Path:
        """The path in torch's cache, downloaded if it is not there."""
        path = self.folder(cache) / self.url.rpartition("/")[2]
        if not path.exists():
            with urllib.request.urlopen(self.url, timeout=SECONDS_WITHOUT_AN_ANSWER) as answer:
                write_atomically(path, lambda file: shutil.copyfileobj(answer, file))
        return path

    def checksum(self, path: Path) -> str:
        """The first digits of the SHA-256 the file must have, or ''."""
        digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
        return digits[1] if digits else ""

    def folder(self, cache: Path | None) -> Path:
        """Where torch keeps such files."""
        import torch

        return cache or Path(torch.hub.get_dir()) / "checkpoints"


def resolve_weights(encoder: str, weights: str, cache: Path | None = None) -> Path | None:
    """The local file of an encoder's initial weights, or None for random ones.

    weights: `none`, `imagenet` (for timm's models: the weights that timm gives by default, or those of the tag in
        `tu-<name>.<tag>`), or the path of a file.
    cache: where downloads are kept; by default where the libraries keep theirs.

    Raises UserError if the encoder has none, they cannot be fetched, or the file is not whole or does not fit.
    """
    check_encoder(encoder)
    if weights == "none":
        return None
    if weights == "imagenet":
        return _fetched(encoder, _published(encoder), cache)
    return _fitting(encoder, Path(weights).expanduser())


def flaw(path: Path, checksum: str = "") -> str:
    """What shows that a weight file is not whole, or ''. `checksum`: the first digits of its SHA-256, or ''."""
    found = _flaw_of_safetensors(path) if path.suffix == ".safetensors" else _flaw_of_zip(path)
    if not found and checksum and not (digest := file_digest(path)).startswith(checksum):
        found = f"its SHA-256 begins with {digest[: min(len(checksum), 12)]}, not with {checksum[:12]}"
    return found


def _published(encoder: str) -> HubFile | UrlFile:
    """Where the ImageNet weights of an encoder are."""
    load_own_encoders()
    if encoder in WEIGHT_URLS:
        return UrlFile(WEIGHT_URLS[encoder]())
    if encoder.startswith(TIMM_PREFIX):
        return _published_by_timm(encoder)
    from segmentation_models_pytorch.encoders import encoders

    offered = encoders[encoder]["pretrained_settings"] if encoder in encoders else {}
    # smp's DPNs were trained on ImageNet and 5,000 more categories, and are published under that name.
    for name in ("imagenet", "imagenet+5k"):
        if name in offered:
            return HubFile(offered[name]["repo_id"], "model.safetensors", offered[name]["revision"])
    raise _no_weights(encoder, f"smp has only {', '.join(offered)}" if offered else "they were never published")


def _published_by_timm(encoder: str) -> HubFile | UrlFile:
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(encoder.removeprefix(TIMM_PREFIX))
    if settings is not None and settings.hf_hub_id:
        return HubFile(settings.hf_hub_id, settings.hf_hub_filename or "model.safetensors", None)
    if settings is not None and isinstance(settings.url, str) and settings.url:
        return UrlFile(settings.url)
    raise _no_weights(encoder, "timm has none")


@functools.cache
def _reach(server: str) -> None:
    """Raises OSError if nobody answers at a URL; a certificate is the client's own matter."""
    try:
        urllib.request.urlopen(urllib.request.Request(server, method="HEAD"), timeout=SECONDS_WITHOUT_AN_ANSWER).close()
    except urllib.error.HTTPError:
        return  # a refusal is an answer, and any answer will do
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):
            raise


def _no_weights(encoder: str, reason: str) -> UserError:
    return UserError(
        Problem(
            where="model.encoder_weights",
            message=f"there are no ImageNet weights of {encoder}: {reason}. "
            "Set model.encoder_weights to none, or to the path of a file",
            value="imagenet",
        )
    )


def _fetched(encoder: str, source: HubFile | UrlFile, cache: Path | None) -> Path:
    """The file from the cache or the network, whole; one that is not is deleted and fetched once more."""
    found = ""
    for _ in range(2):
        try:
            path = source.fetch(cache)
        except Exception as error:
            # The hub's client raises the errors of whichever HTTP library it was built on, besides OSError.
            raise _unreachable(encoder, source, cache, error) from error
        found = flaw(path, source.checksum(path))
        if not found:
            return path
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    raise UserError(
        Problem(
            where="model.encoder_weights",
            message=f"the weights of {encoder} arrived damaged twice from {source}: {found}. Try again later, "
            "or set model.encoder_weights to none, or to the path of a file",
            value="imagenet",
        )
    )


def _unreachable(encoder: str, source: HubFile | UrlFile, cache: Path | None, error: Exception) -> UserError:
    variable = "HF_HOME" if isinstance(source, HubFile) else "TORCH_HOME"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return UserError(
        Problem(
            where="model.encoder_weights",
            message=f"the ImageNet weights of {encoder} are not in {source.folder(cache)} and could not be fetched "
            f"from {source}: {reason}. Set model.encoder_weights to none, or to the path of a file with them; or run "
            f"once where there is a network, copy the cache, and let {variable} point to it",
            value="imagenet",
        )
    )


def _fitting(encoder: str, path: Path) -> Path:
    """The absolute path, if the file is there, whole, and loads into the encoder."""
    found = ("there is no such file" if not path.is_file() else "") or flaw(path)
    if found:
        raise UserError(Problem(where="model.encoder_weights", message=found, value=str(path)))
    import torch

    from models.encoders.building import build_encoder

    with torch.random.fork_rng(devices=[]):
        build_encoder(encoder, weights=path)
    return path.resolve()


def _flaw_of_safetensors(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return "it is cut short, or no safetensors file"
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "its header cannot be read"
    expected = 8 + length + end
    return "" if size == expected else f"it has {size} bytes, its header says {expected}"


def _flaw_of_zip(path: Path) -> str:
    # Before torch 1.6 weights were bare pickles; their reader finds the end missing, their checksum the rest.
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(2)
        return "" if start[:1] == b"\x80" else "it is cut short, or not written by torch"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return f"it is damaged: {error}"
    return f"it is damaged at {damaged}" if damaged else ""

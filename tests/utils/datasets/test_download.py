"""Downloading through kagglehub, against a server on this machine that answers as Kaggle does."""

from __future__ import annotations

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.datasets.busi import Busi
from utils.datasets.download import download
from utils.datasets.phantom import Phantom
from utils.errors import UserError

pytestmark = pytest.mark.slow

# Where kagglehub looks for Kaggle when KAGGLE_API_ENVIRONMENT is TEST.
PORT = 7777


class Kaggle(http.server.ThreadingHTTPServer):
    """Answers for the version and the archive of any dataset; `refusal` is a status to answer with instead."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", PORT), Answer)
        self.archive = b""
        self.refusal: int | None = None
        self.asked: list[str] = []


class Answer(http.server.BaseHTTPRequestHandler):
    server: Kaggle

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.path.rsplit('/', 1)[-1]} {json.loads(asked)['datasetSlug']}")
        if self.server.refusal is not None:
            self._send(self.server.refusal, "text/plain", b"refused")
        elif self.path.endswith("/GetDataset"):
            self._send(200, "application/json", json.dumps({"currentVersionNumber": 1}).encode())
        else:
            self._send(200, "application/zip", self.server.archive)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Requests are no news in a test."""


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "nobody"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kaggle(no_credentials: None) -> Iterator[Kaggle]:
    try:
        server = Kaggle()
    except OSError:
        pytest.skip(f"port {PORT} is taken")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def archive_of(folder: Path, inside: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, f"{inside}/{path.relative_to(folder)}")
    return content.getvalue()


def test_dataset_arrives_at_its_root_and_is_fetched_once(kaggle: Kaggle, tmp_path: Path) -> None:
    made = Phantom(cases=8)
    kaggle.archive = archive_of(made.write_busi_layout(tmp_path / "made"), "Dataset_BUSI_with_GT")
    root = tmp_path / "data" / "busi"
    assert download("busi", root) == root
    assert [case.id for case in Busi(root).cases()] == [case.id for case in made.cases()]
    assert kaggle.asked == [
        "GetDataset breast-ultrasound-images-dataset",
        "DownloadDataset breast-ultrasound-images-dataset",
    ]
    assert list(root.parent.iterdir()) == [root]
    download("busi", root)
    assert len(kaggle.asked) == 2


def test_interrupted_download_starts_over(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.archive = archive_of(Phantom(cases=8).write_busi_layout(tmp_path / "made"), "Dataset_BUSI_with_GT")
    root = tmp_path / "busi"
    root.mkdir()
    unfinished = tmp_path / ".busi.part"
    (unfinished / "Dataset_BUSI_with_GT").mkdir(parents=True)
    (unfinished / "Dataset_BUSI_with_GT" / "half.png").write_bytes(b"half")
    download("busi", root)
    assert len(Busi(root).cases()) == 8
    assert not unfinished.exists()
    assert not list(root.rglob("half.png"))


def test_archive_of_another_layout_is_reported_and_not_put_in_place(kaggle: Kaggle, tmp_path: Path) -> None:
    made = Phantom(cases=3).write_busi_layout(tmp_path / "made")
    kaggle.archive = archive_of(made / "benign", "pictures")
    with pytest.raises(UserError, match="no longer has the layout"):
        download("busi", tmp_path / "busi")
    assert not (tmp_path / "busi").exists()


def test_damaged_archive_is_reported(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.archive = b"PK but no archive"
    with pytest.raises(UserError, match="the download failed"):
        download("busi", tmp_path / "busi")
    assert not (tmp_path / "busi").exists()


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "credentials"), (403, "credentials"), (404, "refused"), (503, "refused")]
)
def test_refusal_says_what_to_do(kaggle: Kaggle, tmp_path: Path, status: int, hint: str) -> None:
    kaggle.refusal = status
    with pytest.raises(UserError) as caught:
        download("busi", tmp_path / "busi")
    text = str(caught.value)
    assert len(caught.value.problems) == 1
    for part in (hint, str(status), Busi.kaggle_handle, str(tmp_path / "busi"), "--demo"):
        assert part in text


def test_without_a_network_the_error_says_so(
    no_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens at this proxy: what a hospital's firewall looks like from inside.
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="Kaggle cannot be reached") as caught:
        download("busi", tmp_path / "busi")
    assert "--demo" in str(caught.value)
    assert not (tmp_path / "busi").exists()


def test_folder_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="something other than the dataset 'busi'"):
        download("busi", tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_dataset_without_a_source_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no source to download from"):
        download("phantom", tmp_path)
    with pytest.raises(UserError, match="did you mean 'busi'"):
        download("bussi", tmp_path)

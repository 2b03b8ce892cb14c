from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save as to_safetensors
from safetensors.torch import save_file

from models.encoders.building import build_encoder
from models.encoders.loading import load_weights
from models.encoders.registry import WEIGHT_URLS
from models.weights import flaw, resolve_weights
from utils.errors import UserError

COMMIT = "0" * 40
SHUFFLENET = "shufflenet_v2_x0_5"


class Hub:
    """A server on loopback that answers as the Hugging Face hub does, or as a plain file server for other paths."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.damage = False
        self.downloads: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(with_content=False)

            def do_GET(self) -> None:
                self.answer(with_content=True)

            def answer(self, with_content: bool) -> None:
                path = re.sub(r"/resolve/[^/]+/", "/", self.path).strip("/")
                content = hub.files.get(path)
                self.send_response(200 if content is not None else 404)
                content = content or b""
                commit = re.search(r"/resolve/([0-9a-f]{40})/", self.path)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", commit[1] if commit else COMMIT)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                # The hub's client also asks for things of its own under /api.
                if with_content and content:
                    hub.downloads.append(path)
                    self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]) if hub.damage else content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    served = Hub()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        served.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setitem(WEIGHT_URLS, SHUFFLENET, lambda: f"{served.url}/{shufflenet_file()[0]}")
    yield served
    served.close()


def state_of(name: str, seed: int) -> dict[str, torch.Tensor]:
    """An encoder's tensors as its library publishes them: with a classifier, timm's under the names of the network."""
    torch.manual_seed(seed)
    if name.startswith("tu-"):
        return timm.create_model(name.removeprefix("tu-"), pretrained=False).state_dict()
    encoder = build_encoder(name)
    assert isinstance(encoder, torch.nn.Module)
    classifier = {"mobilenet_v2": "classifier.1.weight", SHUFFLENET: "fc.weight"}[name]
    return {**encoder.state_dict(), classifier: torch.rand(10, encoder.out_channels[-1])}


def shufflenet_file(seed: int = 5) -> tuple[str, bytes]:
    """Name and content of a weight file as torchvision publishes them: the name ends in the SHA-256's first digits."""
    buffer = io.BytesIO()
    torch.save(state_of(SHUFFLENET, seed), buffer)
    content = buffer.getvalue()
    return f"shufflenet-{hashlib.sha256(content).hexdigest()[:10]}.pth", content


SOURCES = {
    "mobilenet_v2": "smp-hub/mobilenet_v2.imagenet/model.safetensors",
    "tu-mobilenetv3_small_050": "timm/mobilenetv3_small_050.lamb_in1k/model.safetensors",
}


def publish(hub: Hub, name: str) -> None:
    if name == SHUFFLENET:
        filename, content = shufflenet_file()
        hub.files[filename] = content
    else:
        hub.files[SOURCES[name]] = to_safetensors(state_of(name, 5))


@pytest.mark.parametrize("name", [*SOURCES, SHUFFLENET])
def test_imagenet_weights_are_fetched_once_and_then_need_no_network(hub: Hub, tmp_path: Path, name: str) -> None:
    publish(hub, name)
    path = resolve_weights(name, "imagenet", tmp_path)
    assert path is not None
    assert path.is_relative_to(tmp_path)
    assert len(hub.downloads) == 1
    hub.close()
    assert resolve_weights(name, "imagenet", tmp_path) == path

    torch.manual_seed(1)
    encoder = build_encoder(name, weights=path)
    published = {key.replace(".", "_"): value for key, value in state_of(name, 5).items()}
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, published[key.removeprefix("model.").replace(".", "_")]), key


@pytest.mark.parametrize("harm", ["cut short", "changed", "emptied"])
@pytest.mark.parametrize("name", ["tu-mobilenetv3_small_050", SHUFFLENET])
def test_a_damaged_file_in_the_cache_is_fetched_again_once(hub: Hub, tmp_path: Path, name: str, harm: str) -> None:
    publish(hub, name)
    path = resolve_weights(name, "imagenet", tmp_path)
    assert path is not None
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut short": whole[:middle],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "emptied": b"",
    }[harm]
    path.resolve().write_bytes(damaged)
    path = resolve_weights(name, "imagenet", tmp_path)
    assert path is not None
    assert path.read_bytes() == whole
    assert len(hub.downloads) == 2


@pytest.mark.parametrize("name", ["tu-mobilenetv3_small_050", SHUFFLENET])
def test_a_file_that_arrives_damaged_twice_is_an_error_and_is_not_kept(hub: Hub, tmp_path: Path, name: str) -> None:
    publish(hub, name)
    hub.damage = True
    with pytest.raises(UserError, match="damaged twice"):
        resolve_weights(name, "imagenet", tmp_path)
    assert len(hub.downloads) == 2
    hub.damage = False
    assert resolve_weights(name, "imagenet", tmp_path) is not None


@pytest.mark.parametrize("name", ["mobilenet_v2", "tu-mobilenetv3_small_050", SHUFFLENET])
def test_without_a_network_the_error_names_place_and_remedies(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.close()
    with pytest.raises(UserError) as caught:
        resolve_weights(name, "imagenet", tmp_path)
    problem = caught.value.problems[0]
    assert problem.where == "model.encoder_weights"
    assert name in problem.message
    assert str(tmp_path) in problem.message
    assert hub.url in problem.message
    assert "model.encoder_weights to none" in problem.message
    assert "TORCH_HOME" in problem.message if name == SHUFFLENET else "HF_HOME" in problem.message


def test_a_file_that_the_hub_does_not_have_is_an_error(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be fetched"):
        resolve_weights("mobilenet_v2", "imagenet", tmp_path)


def test_encoders_without_imagenet_weights_say_which_they_have() -> None:
    with pytest.raises(UserError, match="smp has only ssl, swsl"):
        resolve_weights("resnext101_32x4d", "imagenet")


def test_none_is_none() -> None:
    assert resolve_weights("resnet18", "none") is None
    with pytest.raises(UserError):
        resolve_weights("resnet19", "none")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", ["mobilenet_v2", "tu-mobilenetv3_small_050", "tu-convnext_atto"])
def test_a_path_is_checked_and_loaded(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    state = state_of(name, 3)
    if suffix == "pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)
    before = torch.random.get_rng_state()
    assert resolve_weights(name, str(path)) == path.resolve()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_files_of_other_networks_are_refused_even_when_all_tensors_are_there(tmp_path: Path) -> None:
    path = tmp_path / "resnet34.safetensors"
    save_file(timm.create_model("resnet34").state_dict(), path)
    for wanted in ("tu-resnet18", "resnet18"):
        with pytest.raises(UserError, match=rf"not weights of {wanted}.*unknown \(layer1\.2\.") as caught:
            load_weights(wanted, build_encoder(wanted), path)
        assert "missing" not in str(caught.value)


def test_tensors_that_are_missing_or_of_another_shape_are_named(tmp_path: Path) -> None:
    path = tmp_path / "shufflenet.safetensors"
    save_file(state_of(SHUFFLENET, 0), path)
    with pytest.raises(
        UserError, match=r"of another shape \(stage2\.0\.branch1\.2\.weight \(24, 24, 1, 1\) for \(58, "
    ):
        load_weights("shufflenet_v2_x1_0", build_encoder("shufflenet_v2_x1_0"), path)
    with pytest.raises(UserError, match=r"\d+ of \d+ missing \(conv1\.weight, bn1\.weight"):
        load_weights("resnet18", build_encoder("resnet18"), path)


def test_a_path_must_exist_be_whole_and_hold_tensors(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pth"
    with pytest.raises(UserError, match="no such file"):
        resolve_weights(SHUFFLENET, str(missing))

    text = tmp_path / "text.pth"
    text.write_text("<html>not found</html>")
    with pytest.raises(UserError, match="cut short, or not written by torch"):
        resolve_weights(SHUFFLENET, str(text))

    number = tmp_path / "number.pth"
    torch.save({"epoch": 3}, number)
    with pytest.raises(UserError, match="named tensors"):
        resolve_weights(SHUFFLENET, str(number))


class Intruder:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    path, place = tmp_path / "evil.pth", tmp_path / "made by the pickle"
    if legacy:
        path.write_bytes(pickle.dumps({"weight": Intruder(place)}, protocol=2))
    else:
        torch.save({"weight": Intruder(place)}, path)
    with pytest.raises(UserError, match="cannot be read as weights"):
        resolve_weights(SHUFFLENET, str(path))
    assert not place.exists()


def test_flaws_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.rand(8)}, path)
    whole = path.read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    assert flaw(path) == flaw(path, digest) == flaw(path, digest[:8]) == ""
    assert "SHA-256" in flaw(path, "0" * 10)
    for content, message in (
        (whole[:-1], "its header says"),
        (whole + b"\0", "its header says"),
        (whole[:4], "cut short"),
        (b"\xff" * 100, "cut short"),
        ((2).to_bytes(8, "little") + b"[]", "header cannot be read"),
    ):
        path.write_bytes(content)
        assert message in flaw(path)


def test_timms_own_conversion_of_foreign_checkpoints_is_used(tmp_path: Path) -> None:
    # ConvNeXt as its authors publish it: other names for the same tensors.
    state = timm.create_model("convnext_atto").state_dict()
    foreign = {}
    for key, value in state.items():
        key = key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        key = re.sub(r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"stages\.(\d)\.blocks\.", r"stages.\1.", key)
        for ours, theirs in (("conv_dw", "dwconv"), ("mlp.fc1", "pwconv1"), ("mlp.fc2", "pwconv2")):
            key = key.replace(ours, theirs)
        foreign[key] = value
    assert "downsample_layers.0.0.weight" in foreign
    path = tmp_path / "foreign.safetensors"
    save_file(foreign, path)
    encoder = build_encoder("tu-convnext_atto", weights=path)
    assert torch.equal(encoder.state_dict()["model.stem_0.weight"], state["stem.0.weight"])

"""From a run's record to its network, checked against what was sealed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from experiments.ledger.record import CHECKPOINT, Record, seal
from experiments.prediction.trained import TrainedNetwork
from experiments.sweep import ModelSettings, Settings
from experiments.training import checkpoint
from experiments.training.network import build_network
from models.network import Network
from utils.errors import Problem, UserError
from utils.images.cache import ImageCache


def open_run(folder: Path, cache: ImageCache, record: Record) -> TrainedNetwork:
    """The network of a complete run, on the CPU, with the weights that its scores were made with.

    folder: of the run. cache: prepared with the run's own dataset settings. Raises UserError as `open_network` does.
    """
    network = open_network(folder, record, len(cache.classes))
    batch_size = Settings.model_validate(record.settings).training.batch_size
    return TrainedNetwork(network, cache, batch_size, torch.device("cpu"))


def open_network(folder: Path, record: Record, classes: int | None = None) -> Network:
    """The network of a complete run, in eval mode, on the CPU.

    classes: how many diagnoses there are; None reads it from the checkpoint. The network is built from the record's
    settings, without downloading anything: every weight is in the checkpoint.
    Raises UserError if the run has failed, or if its checkpoint is missing or not the one that was sealed.
    """
    path = folder / CHECKPOINT
    if record.status != "complete":
        raise _unusable(folder, f"the run has failed ({record.error}) and left no network")
    _check(path, record)
    model = Settings.model_validate(record.settings).model
    state = checkpoint.load(path, torch.device("cpu"))
    if state is None:
        raise _unusable(path, "the checkpoint cannot be read")
    try:
        count = _classes_in(state["network"], model) if classes is None else classes
        with torch.random.fork_rng(devices=[]):  # initial weights, all of them replaced, are no reason to draw numbers
            network = build_network(model, count)
        network.load_state_dict(state["network"])
    except (KeyError, IndexError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise _unusable(path, f"the checkpoint does not fit the network of the record ({reason})") from error
    return network.eval()


def _classes_in(state: Mapping[str, torch.Tensor], model: ModelSettings) -> int:
    """How many diagnoses a checkpoint's network knows; 1 where nothing in it depends on them."""
    has_head = model.classification_head.name != "none"
    if not has_head and model.segmentation_head == "binary":
        return 1
    part = "classification_head." if has_head else "segmentation_head."
    # The last tensor of either head is the bias of its logits.
    logits = [tensor.shape[0] for name, tensor in state.items() if name.startswith(part) and tensor.ndim][-1]
    return logits if has_head else logits - 1


def _check(path: Path, record: Record) -> None:
    """Raises UserError unless the checkpoint is, to the byte, the one that was sealed."""
    sealed = record.files.get(CHECKPOINT)
    if sealed is None:
        raise _unusable(path, "the record seals no checkpoint")
    if not path.is_file():
        raise _unusable(path, "the checkpoint is missing")
    if seal(path) != sealed:
        raise _unusable(path, "the checkpoint is not the one that was sealed")


def _unusable(place: Path, why: str) -> UserError:
    what = "delete the run's folder and start the sweep again to repeat it"
    return UserError(Problem(str(place), f"{why}; {what}"))

"""Pretrained weights from a local file into an encoder: every tensor of the encoder, or an error that says which."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.encoders.encoder import Encoder
from models.encoders.names import TIMM_PREFIX
from utils.errors import Problem, UserError

State = dict[str, Tensor]


def load_weights(name: str, encoder: Encoder, path: Path) -> None:
    """Copies the weights in `path` (.safetensors, or a .pth that holds nothing but tensors) into `encoder`.

    The file must have every tensor of the encoder in its shape; of more than that it may have only a classifier.
    Raises UserError if it does not fit or cannot be read. Nothing in the file is ever executed.
    """
    state = read_state(path)
    module = cast(nn.Module, encoder)
    if name.startswith(TIMM_PREFIX):
        state = _named_as_in_features(name, module, state)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            Problem(
                where="model.encoder_weights",
                message=f"these are not weights of {name}: {_differences(module.state_dict(), state)}",
                value=str(path),
            )
        ) from error


def read_state(path: Path) -> State:
    """The tensors of a weight file by name; a checkpoint with a `state_dict` or `model` inside is unwrapped."""
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    if not path.is_file():
        raise _unreadable(path, "there is no such file")  # timm's own error says nothing
    try:
        # Reads safetensors, and anything else with weights_only=True, which refuses to run what a pickle asks for.
        state = load_state_dict(str(path), weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, SafetensorError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if "weights_only" in reason:  # it goes on with the advice to load the file without that guard
            reason = "only tensors and plain values are loaded from a weight file, since all else could run a program"
        raise _unreadable(path, reason) from error
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise _unreadable(path, "it does not hold named tensors")
    return dict(state)


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(
        Problem(where="model.encoder_weights", message=f"cannot be read as weights: {reason}", value=str(path))
    )


def _named_as_in_features(name: str, encoder: nn.Module, state: State) -> State:
    """The tensors under their names in timm's feature extractors, which flatten `stages.0` to `stages_0`."""
    wanted = encoder.state_dict()
    given = {_flat(key): key for key in state}
    if any(_flat(key) not in given for key in wanted):
        state = _converted_by_timm(name, state)
        given = {_flat(key): key for key in state}
    named = {key: state[given.pop(_flat(key))] for key in wanted if _flat(key) in given}

    # A deeper sibling has all these tensors and more (ResNet-34 for ResNet-18). The classifier, and the last stages of
    # a shallower encoder, are rightly left over.
    stages = tuple({_flat(key.removeprefix("model.").split(".")[0]) + "_" for key in wanted})
    if getattr(encoder, "_depth", 5) == 5:
        named.update({key: state[key] for flat, key in given.items() if flat.startswith(stages)})
    return named


def _flat(key: str) -> str:
    return re.sub(r"^(model\.)+", "", key).replace(".", "_")


def _converted_by_timm(name: str, state: State) -> State:
    """Applies the architecture's own conversion of foreign checkpoints, where timm has one."""
    import timm

    with torch.device("meta"):
        network = timm.create_model(name.removeprefix(TIMM_PREFIX), pretrained=False)
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return convert(dict(state), network)
    except (KeyError, AttributeError, IndexError, RuntimeError, ValueError, TypeError):
        # It took the file for one of its own and stumbled: whoever compares the keys can say more.
        return state


def _differences(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    missing = [key for key in wanted if key not in given]
    reshaped = [
        f"{key} {tuple(given[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    unknown = [key for key in given if key not in wanted]
    kinds = (("missing", missing), ("of another shape", reshaped), ("unknown", unknown))
    found = [f"{len(keys)} of {len(wanted)} {kind} ({_few(keys)})" for kind, keys in kinds if keys]
    return "tensors " + "; ".join(found)


def _few(keys: Iterable[str], limit: int = 3) -> str:
    keys = list(keys)
    return ", ".join(keys[:limit]) + (", ..." if len(keys) > limit else "")

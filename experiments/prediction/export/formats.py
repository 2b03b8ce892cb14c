"""The two formats of an exported ensemble: how a file is written, and how it is asked."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from experiments.prediction.export.module import EnsembleModule
from utils.errors import Problem, UserError

METADATA = "segmentation_sweeps"
"""The key of the metadata in ONNX, and the name of their file in TorchScript."""

Answers = Callable[[np.ndarray], list[np.ndarray]]
"""Images, float32 (B, 3, H, W), to the outputs."""


def save_onnx(module: EnsembleModule, example: torch.Tensor, path: Path, metadata: str) -> None:
    """Writes one ONNX file. Raises UserError without the libraries, and for networks that ONNX has no words for."""
    onnx = _library("onnx")
    _library("onnxscript")
    with torch.inference_mode():
        names = ["probability", "classes"][: len(module(example))]
    # Each network's buffers and shapes are read by tracing: what the exporter says of that is for its developers.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module,
                (example,),
                input_names=["images"],
                output_names=names,
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise _refused("ONNX", error) from error
    model: Any = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {METADATA: metadata})
    onnx.save(model, str(path))


def onnx_answers(path: Path) -> Answers:
    """Asks an ONNX file by onnxruntime, on the CPU."""
    session = _library("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: list(session.run(None, {"images": images}))


def save_torchscript(module: EnsembleModule, example: torch.Tensor, path: Path, metadata: str) -> None:
    """Writes one TorchScript file, by tracing. Raises UserError for networks that cannot be traced."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            traced = torch.jit.trace(module, (example,), check_trace=False)
        except RuntimeError as error:
            raise _refused("TorchScript", error) from error
        torch.jit.save(traced, str(path), _extra_files={METADATA: metadata})


def torchscript_answers(path: Path) -> Answers:
    """Asks a TorchScript file, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(str(path), map_location="cpu")

    def ask(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [each.numpy() for each in module(torch.from_numpy(images))]

    return ask


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"needs the package {name}: pip install segmentation-sweeps[export] ({error})"
        raise UserError(Problem("--export onnx", message)) from error


def _refused(format: str, error: Exception) -> UserError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return UserError(Problem("--export", f"a part of the network cannot be exported to {format}: {reason}"))

"""Class activation maps, by the package grad-cam: where a layer's features speak for a diagnosis, or for a mask."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from experiments.explanation.layers import Layer, layer_named, padded_size
from models.network import Network, Output
from utils.errors import Problem, UserError

Method = Literal["gradcam", "gradcam++"]
Aim = Literal["diagnosis", "segmentation"]
AIMS: tuple[Aim, ...] = ("diagnosis", "segmentation")


class ActivationMaps:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) or Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063).

    layers: as `layer_named` knows them; the maps of several are averaged. Without any, the encoder's deepest feature.
    size: (height, width) of an image that the network can process, to try what hangs on a layer.
    The network is put into eval mode and its parameters take no more gradients.
    Raises UserError for a layer that there is not, that has no map, or on which no answer of the network hangs, and
    without the package.
    """

    def __init__(
        self,
        network: Network,
        method: Method = "gradcam",
        layers: Sequence[str] = (),
        size: tuple[int, int] = (64, 64),
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self._kind, self._target = _package(method)
        self._padded: dict[torch.Size, tuple[int, int]] = {}
        chosen = [layer_named(network, name) for name in layers or (None,)]
        self.layers: dict[Aim, tuple[Layer, ...]] = dict.fromkeys(AIMS, ())
        for layer in chosen:
            aims = _aims_of(network, layer, size)
            if not aims:
                raise UserError(Problem("--layer", "no answer of the network hangs on it", value=layer.name))
            for aim in aims:
                self.layers[aim] += (layer,)

    @property
    def aims(self) -> tuple[Aim, ...]:
        """What the chosen layers have a say in; no diagnosis without a classification head."""
        return tuple(aim for aim in AIMS if self.layers[aim])

    def __call__(self, images: Tensor, aim: Aim, diagnosis: int = 0) -> np.ndarray:
        """float32 (h, w) in [0, 1]: shares of the largest value; all 0 where nothing speaks for it.

        images: (1, 1 or 3, h, w) in [0, 1]. aim: one of `aims`. ``diagnosis`` explains the logit of the class with
        that number; ``segmentation`` the mean logit over the pixels that the network itself calls lesion, after
        Vinogradova et al. (AAAI 2020, arXiv 2002.11434), all 0 where there are none.
        """
        answer = _Answer(self.network, aim)
        target = self._target(diagnosis) if aim == "diagnosis" else _mean_over_mask
        # With parameters frozen, it is the images that keep a graph behind them.
        asked = images.detach().clone().requires_grad_()
        maps = []
        for layer in self.layers[aim]:
            with layer.tapped() as tap:
                cam = self._kind(answer, [tap])
                seen = cam.activations_and_grads
                try:
                    cam(asked, [target])
                    feature, gradient = seen.activations[0].numpy(), seen.gradients[0].numpy()
                    maps.append(self._map(cam.get_cam_image(asked, tap, [target], feature, gradient)[0], images))
                finally:
                    seen.release()
        return np.stack(maps).mean(axis=0)

    def _map(self, weighted: np.ndarray, images: Tensor) -> np.ndarray:
        """The positive part of a layer's weighted sum (h', w') over the images, its largest value 1.

        Not as the package would have it: that takes the smallest value away, so that a map which is the same
        everywhere is lost, and no share of it can be measured; and it knows nothing of padding.
        """
        if images.shape not in self._padded:
            self._padded[images.shape] = padded_size(self.network, images)
        height, width = self._padded[images.shape]
        positive = np.maximum(weighted, 0).astype(np.float32)
        # Shares before it, too: ones are enlarged to ones, any other number to slightly uneven ones on some CPUs.
        enlarged = cv2.resize(_shares(positive), (width, height))[: images.shape[-2], : images.shape[-1]]
        return _shares(enlarged)


def _shares(values: np.ndarray) -> np.ndarray:
    """Of the largest value; as they are, where none is positive."""
    highest = values.max()
    return values / highest if highest > 0 else values


def _package(method: Method) -> tuple[Any, Any]:
    """What makes the maps, and what picks a class; it takes seconds to come, and only explanations need it."""
    try:
        package = importlib.import_module("pytorch_grad_cam")
        targets = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    except ImportError as error:
        message = f"needs the package grad-cam: pip install segmentation-sweeps[explain] ({error})"
        raise UserError(Problem("--method", message, value=method)) from error
    return (package.GradCAM if method == "gradcam" else package.GradCAMPlusPlus), targets.ClassifierOutputTarget


class _Answer(nn.Module):
    """The network with the one answer that is explained, as the package expects it: a tensor."""

    def __init__(self, network: Network, aim: Aim) -> None:
        super().__init__()
        self.network, self.aim = network, aim

    def forward(self, images: Tensor) -> Tensor:
        return _of(self.network(images), self.aim)


def _of(output: Output, aim: Aim) -> Tensor:
    """Logits (B, classes), or those of the foreground (B, 1, H, W)."""
    if aim == "segmentation":
        return output.foreground
    assert output.labels is not None, "asked for only where there is a head"
    return output.labels


def _mean_over_mask(foreground: Tensor) -> Tensor:
    """The score of logits (1, H, W): a mean, for Grad-CAM++ weighs by the size of gradients."""
    mask = foreground.detach() > 0
    return (foreground * mask).sum() / mask.sum().clamp(min=1)


def _aims_of(network: Network, layer: Layer, size: tuple[int, int]) -> tuple[Aim, ...]:
    """What a layer has a say in, found by trying."""
    parameter = next(network.parameters())
    images = torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype, requires_grad=True)
    seen: list[Tensor] = []
    with layer.tapped() as tap, torch.enable_grad():
        tap.register_forward_hook(lambda _, inputs, output: seen.append(output))
        output = network(images)
    if not seen:
        return ()
    found = []
    for aim in AIMS:
        if aim == "segmentation" or output.labels is not None:
            score = _of(output, aim).sum()
            if torch.autograd.grad(score, seen[0], retain_graph=True, allow_unused=True)[0] is not None:
                found.append(aim)
    return tuple(found)

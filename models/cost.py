"""Parameters and operations of a network, counted without memory or arithmetic, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """What a network costs.

    params_millions: parameters that the output depends on, in millions. Layers that an encoder carries along but no
        decoder reads (EfficientNet's `_conv_head`, the stages below a decoder's depth) are not counted.
    gflops: floating-point operations of one forward pass for one image, in thousand millions. A multiplication and an
        addition count as two, so that ResNet-18 at 224 x 224 has 3.63; papers and torchvision that count
        multiply-adds have half of that. Convolutions, matrix products and attention are counted, the rest is not.
    """

    params_millions: float
    gflops: float


def cost(build: Callable[[], nn.Module], image_size: tuple[int, int]) -> Cost:
    """Builds the network on the meta device, which has shapes but no values, and counts.

    build: makes the network, without pretrained weights, from which no number depends.
    image_size: (height, width) in pixels.
    """
    network = on_meta(build).eval().requires_grad_()
    images = torch.empty(1, 3, *image_size, device="meta")
    with FlopCounterMode(display=False) as counter:
        output = network(images)
    outputs = [part for part in tree_leaves(output) if isinstance(part, Tensor)]
    used = sum(parameter.numel() for parameter in _behind(outputs))
    return Cost(used / 1e6, counter.get_total_flops() / 1e9)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Builds a network on the meta device, where it takes no memory and, but for its Python, no time."""
    with torch.device("meta"), _SchedulesHaveValues():
        return build()


def _behind(outputs: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that tensors were computed from: the leaves of their autograd graph, without going backward."""
    ahead: list[Any] = [output.grad_fn for output in outputs]
    seen = set(ahead)
    parameters = []
    while ahead:
        node = ahead.pop()
        if hasattr(node, "variable"):
            parameters.append(node.variable)
        new = {before for before, _ in getattr(node, "next_functions", ()) if before is not None} - seen
        seen |= new
        ahead.extend(new)
    return parameters


class _SchedulesHaveValues(TorchFunctionMode):
    """Keeps `torch.linspace` off the meta device: MiT reads its drop-path rates back as numbers while it is built."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)

"""Parameters and operations of a network, counted without memory or arithmetic, or while it answers for an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


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


class Operations(TorchDispatchMode):
    """Counts floating-point operations, by torch's own formulas, of what is computed under it.

    Without the book that torch's own counter keeps of modules and their tensors: it would be memory, where that is
    counted too, and the first use of it in a process takes more than a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=answer)
        return answer


def cost(build: Callable[[], nn.Module], image_size: tuple[int, int]) -> Cost:
    """Builds the network on the meta device, which has shapes but no values, and counts.

    build: makes the network, without pretrained weights, from which no number depends.
    image_size: (height, width) in pixels.
    """
    return cost_of(on_meta(build), torch.empty(1, 3, *image_size, device="meta"))


def cost_of(network: nn.Module, image: Tensor) -> Cost:
    """As `cost`, of a network that is there already; takes about two forward passes of one image.

    network: neither compiled nor with checkpointed activations, which hide what they compute. Afterwards it is in eval
        mode and all its parameters want gradients.
    image: (1, 3, H, W), on the network's device.
    """
    network.eval().requires_grad_()
    with torch.enable_grad(), Operations() as counted:
        output = network(image)
    outputs = [part for part in tree_leaves(output) if isinstance(part, Tensor)]
    used = sum(parameter.numel() for parameter in _behind(outputs))
    return Cost(used / 1e6, counted.total / 1e9)


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

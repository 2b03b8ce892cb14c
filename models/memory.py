"""Peak memory of a training step, counted on tensors that have shapes but no values, before anything runs.

A whole step (forward, backward, optimizer) is gone through on the meta device, and the bytes of all living storages
are added up as operations make tensors and autograd lets go of them. Counted are parameters, buffers, gradients, the
optimizer's state, whatever autograd saves, and the tensors in between. Not counted, since no tensor of Python's is
behind it: workspaces inside a kernel (cuDNN's, oneDNN's), what an allocator rounds up and leaves unused, the CUDA
context, and the process with its libraries. Workspaces matter where weights are many and images few and small: VGG-11
with four images of 64 pixels takes 1.7 times the estimate on the CPU, with eight of 128 pixels 1.02 times.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.cost import on_meta


class TrainingMemory(NamedTuple):
    """Bytes of a network in training.

    network: parameters and buffers, which is also the size of its state dict. optimizer: the state that the optimizer
    keeps between steps (nothing for plain SGD, the parameters twice for Adam). saved: what is alive for the backward
    pass when the forward pass has ended. peak: the most at any moment of a step, with all of these and the gradients.
    """

    network: int
    optimizer: int
    saved: int
    peak: int

    def enlarged(self, factor: float) -> TrainingMemory:
        """With a batch `factor` times as large. Gradients of parameters, which do not grow, are taken to: too much."""
        lasting = self.network + self.optimizer
        peak = lasting + round((self.peak - lasting) * factor)
        return TrainingMemory(self.network, self.optimizer, round(self.saved * factor), peak)


def training_memory(
    build: Callable[[], nn.Module],
    image_shape: tuple[int, int, int, int],
    loss: Callable[[Any], Tensor],
    make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    *,
    autocast: torch.dtype | None = None,
    foreach: bool = False,
    device: str = "meta",
) -> TrainingMemory:
    """The memory of one step of a network, after the first, which finds the optimizer's state in place.

    build: makes the network, without pretrained weights. image_shape: (B, 3, H, W). loss: of what the network answers.
    autocast: the type of mixed precision, or None. The operations that it casts are those of torch's list for the CPU,
    which for networks of images are CUDA's. foreach: whether the optimizer works on all parameters at once, as it does
    on CUDA, with temporaries of their size. device: ``meta``, or ``cpu``, which needs the memory and the time that it
    measures: for a network that looks at its values on the way.

    Raises what building, the forward pass and the loss raise.
    """
    with _values_or_not(build, autocast is not None, device) as network:
        optimizer = make_optimizer(network.parameters())
        for group in optimizer.param_groups:
            group["foreach"] = foreach
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with LiveBytes() as live:
            live.add(*network.parameters(), *network.buffers())
            weights = live.now
            live.add(*(value for value in tree_leaves(optimizer.state_dict()["state"]) if isinstance(value, Tensor)))
            lasting = live.now
            images = torch.zeros(image_shape, device=next(network.parameters()).device)
            with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
                answer = loss(network(images))
            saved = live.now - lasting
            answer.backward()
            optimizer.step()
        return TrainingMemory(weights, lasting - weights, saved, live.peak)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that are alive of those that operations under it have answered.

    now: at this moment. peak: the most so far. Views share a storage, which is counted once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def add(self, *tensors: Tensor) -> None:
        """Counts tensors that were there before."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in self._alive:
                continue
            self.now += size
            self.peak = max(self.peak, self.now)
            self._alive[key] = weakref.ref(storage, functools.partial(self._remove, key, size))

    def _remove(self, key: int, size: int, _: object) -> None:
        self.now -= size
        del self._alive[key]

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        self.add(*(leaf for leaf in tree_leaves(answer) if isinstance(leaf, Tensor)))
        return answer


@contextmanager
def _values_or_not(build: Callable[[], nn.Module], casting: bool, device: str) -> Iterator[nn.Module]:
    """The network in training mode, on `device`."""
    if device != "meta":
        yield build().train()
        return
    network = on_meta(build).train()
    if not casting:
        yield network
        return
    # Autocast knows no meta device. Fake tensors have no values either, take three times as long, and claim to be
    # on the CPU, where it does its work.
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield network.to_empty(device="cpu")

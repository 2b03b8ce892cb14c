"""Training with less memory, for a second forward pass: block by block of a network, or part by part of a batch.

What the layers of a block have computed is not kept for the backward pass but computed again when it comes to the
block: Chen et al. 2016, arXiv:1604.06174. The result is the same: random numbers are drawn again as they were, and
running statistics, which the second pass would move once more, are put back. With the network itself as the block,
called once for each part of a batch, the loss is still that of the whole batch: Gao et al. 2021, arXiv:2101.06983.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.latent_augmentation.latent_augmentation import Mixing
from models.network import Network, Output


def checkpoint_activations(*parts: nn.Module) -> None:
    """Has the blocks of each part, an encoder or a decoder, keep nothing but their inputs while gradients are wanted.

    A part that is not made of blocks is one block itself. Names of weights, and answers, stay as they are. A block must
    not change its input in a way that it could not bear twice: ReLU in place may come first, an addition may not.
    """
    for part in parts:
        blocks = tuple(blocks_of(part))
        # A single one is VGG's list of all layers, which is never called as a whole.
        for block in blocks if len(blocks) > 1 else (part,):
            block.forward = functools.partial(_checkpointed, block, block.forward)


def answer_in_parts(network: Network, images: Tensor, labels: Tensor, at_once: int) -> Output:
    """What a network in training answers to a batch of which about `at_once` cases are in it at a time, backwards too.

    images: (B, 3, H, W) or (B, 1, H, W). labels: (B,). Gradients are those of the whole batch, whatever the loss makes
    of the answers; they add up part by part in the backward pass, which goes through every part once more. What looks
    at several cases inside the network sees those of a part: batch normalisation, whose running statistics move with
    every part, and latent augmentation. Dropout draws other numbers than for the whole batch.
    """
    sizes = part_sizes(len(images), at_once)
    if len(sizes) == 1:
        return network(images, labels)
    parts = zip(images.split(sizes), labels.split(sizes), strict=True)
    return _joined([_checkpointed(network, network, *part) for part in parts])


def part_sizes(cases: int, at_once: int) -> list[int]:
    """How many cases of a batch go through the network together: at most `at_once`, in parts as even as can be.

    Three go together where two may, lest a single case be left over: batch normalisation might not bear it.
    """
    parts = math.ceil(cases / at_once) if at_once != 2 else max(1, cases // 2)
    smaller, larger = divmod(cases, parts)
    return [smaller + (part < larger) for part in range(parts)]


def _joined(answers: Sequence[Output]) -> Output:
    """The answers to the parts of a batch as that to the batch."""
    masks, labels, sides, mixings = zip(*answers, strict=True)
    return Output(
        torch.cat(masks),
        None if labels[0] is None else torch.cat(labels),
        tuple(torch.cat(side) for side in zip(*sides, strict=True)),
        None if mixings[0] is None else Mixing.joined(mixings),
    )


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules inside that are repeated: elements of a list or a sequence, made of several layers."""
    for child in module.children():
        if not _is_list(child):
            yield from blocks_of(child)
        elif isinstance(child, nn.Sequential) and not any(_is_composite(element) for element in child):
            if _is_composite(child):
                yield child
        else:
            for element in child.children():
                if _is_list(element):
                    yield from blocks_of(nn.ModuleList([element]))
                elif _is_composite(element):
                    yield element


def _is_list(module: nn.Module) -> bool:
    """Whether it does nothing of its own: what it holds is called one after the other, by itself or by others."""
    return type(module).forward in (nn.Sequential.forward, nn.Module.forward)


def _is_composite(module: nn.Module) -> bool:
    """Whether it has more than one layer with weights or a layer with something between."""
    return sum(not list(layer.children()) for layer in module.modules()) > 1


def _checkpointed(block: nn.Module, forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    if not (torch.is_grad_enabled() and block.training):
        return forward(*inputs, **options)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_restored(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **options)


@contextmanager
def _buffers_restored(block: nn.Module) -> Iterator[None]:
    """Leaves the buffers, such as batch normalisation's running statistics, as they were."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)

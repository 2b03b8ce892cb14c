"""ShuffleNet V2 (Ma et al. 2018, arXiv 1807.11164) from torchvision, as an encoder; neither smp nor timm has it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.encoders.registry import ENCODERS, WEIGHT_URLS

LEVELS = ("conv1", "maxpool", "stage2", "stage3", "stage4")


class ShuffleNetEncoder(nn.Module):
    """torchvision's network cut at its strides 2, 4, 8, 16 and 32, with smp's encoder interface.

    The levels are conv1, maxpool, stage2, stage3, and stage4 followed by conv5. State-dict keys are torchvision's, so
    its published weights load.
    """

    def __init__(self, name: str, depth: int = 5, output_stride: int = 32) -> None:
        if not 1 <= depth <= 5:
            raise ValueError(f"ShuffleNet has depths 1 to 5, not {depth}")
        super().__init__()
        import torchvision.models

        network = getattr(torchvision.models, name)(weights=None)
        self.conv1 = network.conv1
        self.maxpool = network.maxpool
        self.stage2, self.stage3, self.stage4 = network.stage2, network.stage3, network.stage4
        self.conv5 = network.conv5
        self._depth = depth
        self._output_stride = 32
        channels = network._stage_out_channels
        self._out_channels = [3, channels[0], *channels[:3], channels[4]]
        # Levels that no decoder sees would be parameters without a gradient.
        for level in LEVELS[depth:]:
            delattr(self, level)
        if depth < 5:
            del self.conv5
        if output_stride != 32:
            self.make_dilated(output_stride)

    @property
    def out_channels(self) -> list[int]:
        """Channels of each feature, the input first."""
        return self._out_channels[: self._depth + 1]

    @property
    def output_stride(self) -> int:
        """Input side divided by the deepest feature's side."""
        return min(self._output_stride, 2**self._depth)

    def get_stages(self) -> dict[int, list[nn.Module]]:
        """The modules that reach a stride, by that stride; those that dilation can flatten."""
        children = dict(self.named_children())
        stages = {16: ["stage3"], 32: ["stage4", "conv5"]}
        return {stride: [children[name] for name in names if name in children] for stride, names in stages.items()}

    def make_dilated(self, output_stride: int) -> None:
        """Replaces the strides beyond `output_stride` (8 or 16) by dilation."""
        if output_stride not in (8, 16):
            raise ValueError(f"output stride must be 8 or 16, not {output_stride}")
        for stride, modules in self.get_stages().items():
            if stride <= output_stride:
                continue
            dilation = stride // output_stride
            for convolution in (m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d)):
                if convolution.kernel_size == (3, 3):
                    convolution.stride = (1, 1)
                    convolution.dilation = convolution.padding = (dilation, dilation)
        self._output_stride = output_stride

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Leaves out the classifier, and the levels that a shallower encoder does not have."""
        left_out = {"fc", "conv5", *LEVELS} - {name for name, _ in self.named_children()}
        kept = {key: value for key, value in state_dict.items() if key.split(".")[0] not in left_out}
        return super().load_state_dict(kept, *args, **kwargs)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) to `depth` + 1 features of strides 1, 2, 4, ..."""
        features = [images]
        for level in LEVELS[: self._depth]:
            features.append(getattr(self, level)(features[-1]))
        if self._depth == 5:
            features[-1] = self.conv5(features[-1])
        return features


def _published(name: str) -> str:
    import torchvision.models

    return torchvision.models.get_model_weights(name).IMAGENET1K_V1.url


for _name in ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0"):
    ENCODERS.register(_name)(functools.partial(ShuffleNetEncoder, _name))
    WEIGHT_URLS[_name] = functools.partial(_published, _name)

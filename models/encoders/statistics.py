"""The mean and standard deviation that an encoder's pretrained weights expect of their input.

smp 0.6 keeps these numbers on the Hugging Face hub, beside the weights, and a worker must not need the network. Most
of its encoders use ImageNet's; the exceptions are few and stand here, checked against timm's own tables by a test.
"""

from __future__ import annotations

from typing import cast

from models.encoders.names import TIMM_PREFIX

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DPN: Statistics = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

_BY_PREFIX: dict[str, Statistics] = {
    "dpn": DPN,
    "inception": INCEPTION,
    "xception": INCEPTION,
    "timm-tf_efficientnet_lite": INCEPTION,
}


def input_statistics(name: str) -> Statistics:
    """(mean, standard deviation) per channel for RGB values in [0, 1]; ImageNet's where nothing else is known.

    They do not depend on whether pretrained weights are loaded, so that "with" and "without" differ in nothing else.
    """
    if name.startswith(TIMM_PREFIX):
        return _of_timm(name.removeprefix(TIMM_PREFIX))
    return next((statistics for prefix, statistics in _BY_PREFIX.items() if name.startswith(prefix)), IMAGENET)


def _of_timm(model: str) -> Statistics:
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(model)
    # Models for one channel (a few of timm's) have one number; they are built for three here.
    if settings is None or len(settings.mean) != 3:
        return IMAGENET
    return cast(Statistics, (tuple(settings.mean), tuple(settings.std)))

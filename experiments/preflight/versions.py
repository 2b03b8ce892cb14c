"""Which versions a machine computes with: runs of one sweep are compared, so they must be the same everywhere."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from utils.errors import Problem

PACKAGES = ("torch", "torchvision", "ray", "timm", "segmentation-models-pytorch", "albumentations", "numpy")
ABSENT = "none"


@dataclass(frozen=True)
class Versions:
    """What is installed on a machine: ``python``, ``cuda`` (that torch was built with) or a package -> its version."""

    host: str
    installed: Mapping[str, str]


def versions() -> Versions:
    """Of this machine."""
    packages = {name: _version(name) for name in PACKAGES}
    cuda = str(torch.version.cuda or ABSENT)
    return Versions(platform.node(), {"python": platform.python_version(), "cuda": cuda, **packages})


def version_problems(here: Versions, others: Sequence[Versions]) -> list[Problem]:
    """One problem for each thing of which another machine has another version than the driver's."""
    problems = []
    for name in sorted({name for each in (here, *others) for name in each.installed}):
        wanted = here.installed.get(name, ABSENT)
        hosts: dict[str, list[str]] = {}
        for each in others:
            found = each.installed.get(name, ABSENT)
            if found != wanted:
                hosts.setdefault(found, []).append(each.host)
        if hosts:
            elsewhere = "; ".join(f"{found} on {', '.join(sorted(set(names)))}" for found, names in hosts.items())
            message = f"{name} is {wanted} on {here.host}, but {elsewhere}: install the same version everywhere"
            problems.append(Problem("--address", message))
    return problems


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT

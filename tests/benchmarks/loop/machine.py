"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def processor() -> str:
    """The model and the cores of the CPU."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def machine() -> str:
    """CPU, GPU where there is one, and the versions that matter."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{processor()}{gpu}; Python {platform.python_version()}, torch {torch.__version__}"

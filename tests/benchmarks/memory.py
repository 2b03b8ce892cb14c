"""The estimate of a training step's peak memory against the peak that is measured, encoder by encoder.

    python tests/benchmarks/memory.py [--encoders resnet18 mit_b0 ...] [--size 128] [--batch 8] [--limit 0.25]

Without --encoders, those of sweeps/encoders.yaml. Each is trained for two steps, with AdamW and the sweeps' usual
loss, in a process of its own. On CUDA the peak is `torch.cuda.max_memory_allocated`, under the mixed precision that
runs have there. On the CPU it is the most bytes that torch's allocator had given out at once, by the events of
torch's profiler; and beside it how far the resident set of the process grew in a second one without the profiler,
which has all that the estimate does not count: oneDNN's workspaces, and what malloc keeps. Exit code 1 if an estimate
is further from the allocator's peak than the limit.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from torch.profiler import ProfilerActivity, profile

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from experiments.preflight.network import check_network  # noqa: E402
from experiments.sweep import Settings  # noqa: E402
from experiments.training.loss import RunLoss  # noqa: E402
from experiments.training.memory import PeakMemory  # noqa: E402
from experiments.training.network import build_network  # noqa: E402
from experiments.training.optimization import make_optimizer  # noqa: E402

CLASSES = 3
MIB = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=_shipped(), metavar="NAME")
    parser.add_argument("--decoder", default="unet")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images of a step")
    parser.add_argument("--limit", type=float, default=0.25, help="the largest relative error that is let pass")
    parser.add_argument("--measure", choices=["allocator", "process"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    settings = [_settings(name, arguments) for name in arguments.encoders]
    if arguments.measure:
        print(_measured(settings[0], arguments.measure))
        return 0
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{_machine(device)}; Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{arguments.decoder}, batches of {arguments.batch} at {arguments.size} x {arguments.size}, MiB:")
    print(f"{'encoder':26} estimate measured  ratio  process  ratio  seconds of the estimate", flush=True)
    ratios = [_row(one, device) for one in settings]
    print(f"ratio {min(ratios):.3f} to {max(ratios):.3f}, median {statistics.median(ratios):.3f}")
    return 0 if all(abs(ratio - 1) <= arguments.limit for ratio in ratios) else 1


def _shipped() -> list[str]:
    sweep = yaml.safe_load((REPOSITORY / "sweeps" / "encoders.yaml").read_text(encoding="utf-8"))
    return list(sweep["search"]["grid"]["model.encoder"])


def _settings(encoder: str, arguments: argparse.Namespace) -> Settings:
    model = {"encoder": encoder, "decoder": arguments.decoder, "encoder_weights": "none"}
    training = {"batch_size": arguments.batch}
    return Settings.model_validate(
        {"dataset": {"image_size": arguments.size}, "model": model, "training": training}, strict=False
    )


def _row(settings: Settings, device: str) -> float:
    """Prints a line of the table; answers estimate / measured."""
    started = time.perf_counter()
    memory = check_network(settings, CLASSES, device).memory
    seconds = time.perf_counter() - started
    if memory is None:
        raise SystemExit(f"{settings.model.encoder.name} cannot be built")
    measured = _in_a_process(settings, "allocator")
    line = (
        f"{settings.model.encoder.name:26} {memory.peak / MIB:8.0f} {measured / MIB:8.0f} {memory.peak / measured:6.3f}"
    )
    if device == "cpu":
        grown = _in_a_process(settings, "process")
        line += f" {grown / MIB:8.0f} {memory.peak / grown:6.3f}"
    print(f"{line}  {seconds:7.2f}", flush=True)
    return memory.peak / measured


def _in_a_process(settings: Settings, kind: str) -> int:
    """The peak in bytes of two steps in a fresh process."""
    model, size = settings.model, settings.dataset.height_width[0]
    options = {"--encoders": model.encoder.name, "--decoder": model.decoder.name, "--measure": kind}
    numbers = {"--size": str(size), "--batch": str(settings.training.batch_size)}
    words = [word for pair in {**options, **numbers}.items() for word in pair]
    answer = subprocess.run(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return int(answer.stdout.split()[-1])


def _measured(settings: Settings, kind: str) -> int:
    if torch.cuda.is_available():
        _train(settings, "cuda")
        return int(torch.cuda.max_memory_allocated())
    if kind == "process":
        _train(_smallest(settings), "cpu")  # what libraries keep for good is not the network's
        peak = PeakMemory(torch.device("cpu"))
        peak.start()
        before = peak.mebibytes()
        _train(settings, "cpu")
        return round((peak.mebibytes() - before) * MIB)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        _train(settings, "cpu")
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def _smallest(settings: Settings) -> Settings:
    dataset = settings.dataset.model_copy(update={"image_size": 64})
    training = settings.training.model_copy(update={"batch_size": 2})
    return settings.model_copy(update={"dataset": dataset, "training": training})


def _train(settings: Settings, device: str) -> None:
    """Two steps: the first makes the optimizer's state, the second has it."""
    torch.manual_seed(0)
    training, size = settings.training, settings.training.batch_size
    network = build_network(settings.model, CLASSES).to(device).train()
    optimizer = make_optimizer(network.parameters(), training)
    loss = RunLoss(training, 1, [1] * CLASSES).to(device)
    images = torch.rand(size, 3, *settings.dataset.height_width, device=device)
    masks = (torch.rand(size, 1, *settings.dataset.height_width, device=device) > 0.5).float()
    labels = torch.arange(size, device=device) % CLASSES
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            value = loss(network(images, labels), masks, labels)
        value.backward()
        optimizer.step()


def _machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m experiments.predict --sweep encoders --image X.png``: the winner of a sweep, put to use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.console.command import answered
from experiments.console.options import add_device, count

PROGRAM = "-m experiments.predict"
_WRITTEN = ("mask", "probability", "sheet")


def parser() -> argparse.ArgumentParser:
    """The options, as ``--help`` shows them."""
    command = argparse.ArgumentParser(
        prog=f"python {PROGRAM}",
        description="Segments and diagnoses images with the networks of a finished sweep: by default those of all "
        "folds of the configuration of rank 1, their logits averaged. Writes <name>_mask.png, <name>_probability.png "
        "(16 bits), <name>_prediction_output.png and predictions.csv. The same command goes on where it was stopped. "
        "Or writes the networks as one file for other programs. Exit codes: 0 done, 1 some images could not be "
        "predicted, 2 the user's error.",
    )
    add = command.add_argument
    add("--sweep", required=True, help="the name of the sweep, such as encoders for results/encoders.csv")
    add("--image", nargs="+", metavar="PATH", help="images, folders or patterns such as 'data/*.png'")
    verified = "write the networks as one file instead, verified on --image or on the sweep's own data"
    add("--export", choices=("onnx", "torchscript"), help=verified)
    which = command.add_mutually_exclusive_group()
    which.add_argument("--run", metavar="ID", help="another configuration, or one run of it: <id>, <id>/fold-<i>")
    which.add_argument("--top", type=count, default=1, metavar="N", help="the N best configurations (default: 1)")
    add_device(command)
    add("--results", type=Path, default=Path("results"), metavar="FOLDER", help="of the sweep (default: results)")
    add("--output", type=Path, metavar="FOLDER", help="where files go (default: <results>/predictions/<sweep>)")
    add("--masks", type=Path, metavar="FOLDER", help="true masks, for metrics (default: x_mask.png beside x.png)")
    add("--write", nargs="+", choices=_WRITTEN, default=_WRITTEN, help="which files of an image (default: all)")
    threshold = "above which a pixel is lesion (default: 0.5); 'validation' chooses it on the folds' validation cases"
    add("--threshold", type=_threshold, metavar="P", help=threshold)
    add("--min-area", type=_area, default=0, metavar="PIXELS", help="drop smaller components (default: none)")
    add("--tta", action="store_true", help="average over mirrored images, too")
    sizes = "pixels of the longer side, or several, which are averaged: 512,1024 (default: as in training)"
    add("--size", type=_sizes, default=(), metavar="N,N", help=sizes)
    clahe = "another clip limit of CLAHE, 0 for none; 'adaptive' takes the one at which the networks are most confident"
    add("--clahe", type=_clip_limit, metavar="LIMIT", help=clahe)
    amp = "bf16: mixed precision, twice as fast where the processor has it; differs in the third digit (default: none)"
    add("--amp", choices=("none", "bf16"), default="none", help=amp)
    add("--batch-size", type=count, metavar="N", help="images at once (default: 4, on a GPU 16)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = parser()
    options = command.parse_args(arguments)
    if not options.image and not options.export:
        command.error("what is to be predicted? give --image, or --export")
    options.write = tuple(dict.fromkeys(options.write))
    # Imported here so that --help and mistakes are answered at once.
    from experiments.prediction.command import predict

    return answered(lambda console, interruption: predict(options, console, interruption), PROGRAM, arguments)


def _area(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number of pixels: {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _threshold(text: str) -> float | str:
    if text != "validation" and not 0 < _number(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 'validation', or between 0 and 1: {text!r}")
    return text if text == "validation" else float(text)


def _clip_limit(text: str) -> float | str:
    if text != "adaptive" and not 0 <= _number(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be 'adaptive', or a number from 0 to 1000: {text!r}")
    return text if text == "adaptive" else float(text)


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and 8 <= int(part) <= 8192 for part in parts):
        raise argparse.ArgumentTypeError(f"must be numbers of pixels from 8 to 8192, with commas between: {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


if __name__ == "__main__":
    sys.exit(main())

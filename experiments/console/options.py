"""Options that several commands have, so that they are the same everywhere."""

from __future__ import annotations

import argparse


def add_device(command: argparse.ArgumentParser) -> None:
    """``--device`` and ``--gpu``, one of which says where networks are computed: ``options.device``."""
    device = command.add_mutually_exclusive_group()
    device.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    device.add_argument("--gpu", dest="device", metavar="N", help="the number of a GPU, from 0")


def count(text: str) -> int:
    """A number of things. Raises argparse.ArgumentTypeError for less than 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more: {text!r}")
    return int(text)

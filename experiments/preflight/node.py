"""What the driver asks every machine of a cluster; asked and answered in one go."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.preflight.folder import PATIENCE, FolderProbe, folder_problems, probe_folder
from experiments.preflight.slot import gpu_memory, host_memory
from experiments.preflight.versions import Versions, version_problems, versions
from experiments.storage.store import fault_here
from utils.errors import Problem


@dataclass(frozen=True)
class NodeReport:
    """One machine: its versions, what it finds at the results folder, bytes of its memory and of its smallest GPU."""

    host: str
    versions: Versions
    folder: FolderProbe
    host_memory: int
    gpu_memory: int


def inspect_node(folder: str, token: str, patience: float = PATIENCE, storage: str | None = None) -> NodeReport:
    """The machine that this is executed on. folder, token: as for `probe_folder`.

    storage: the URL of a store, which is then looked at in the place of the folder.
    """
    if storage is None:
        probe = probe_folder(folder, token, patience)
    else:
        fault = fault_here(storage, token)
        probe = FolderProbe(platform.node(), not fault, fault)
    return NodeReport(platform.node(), versions(), probe, host_memory(), gpu_memory())


def node_problems(folder: Path, reports: Sequence[NodeReport], storage: str | None = None) -> list[Problem]:
    """Everything in which the machines of a cluster do not fit to this one, the driver's."""
    probes = [report.folder for report in reports]
    if storage is None:
        found = folder_problems(folder, probes)
    else:
        faults = [f"{probe.host}: {probe.refusal}" for probe in probes if probe.refusal]
        found = [Problem("resources.storage", fault, value=storage) for fault in faults]
    return [*found, *version_problems(versions(), [report.versions for report in reports])]

"""What one run occupies on a cluster."""

from __future__ import annotations

from experiments.sweep.schema.search import Resources
from utils.errors import Problem, UserError


def claims(resources: Resources, cores: float, gpus: float) -> tuple[int, float]:
    """CPU cores and GPUs that one run occupies. Raises UserError for more than the cluster has.

    On CPUs a core each: networks of this size gain less from a second thread than from a second run.
    """
    claimed_gpus = min(1.0, gpus) if resources.gpus == "auto" else float(resources.gpus)
    problems = []
    if claimed_gpus > gpus:
        problems.append(Problem("resources.gpus", f"the cluster has {gpus:g} GPUs", value=resources.gpus))
    fitting = max(1, int(cores * claimed_gpus / gpus)) if claimed_gpus and gpus else 1
    cpus = fitting if resources.cpus == "auto" else resources.cpus
    if cpus > cores:
        problems.append(Problem("resources.cpus", f"the cluster has {cores:g} CPU cores", value=resources.cpus))
    if problems:
        raise UserError(problems)
    return cpus, claimed_gpus

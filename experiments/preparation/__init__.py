"""From a sweep file to runs that can start: data audited, folds drawn, images cached, weights at hand."""

from experiments.preparation.provision import Provision, Provisioner, provide, write_audit
from experiments.preparation.survey import (
    PlannedConfiguration,
    Source,
    StageProgress,
    Survey,
    foreseen,
    open_sources,
    survey,
)

__all__ = [
    "PlannedConfiguration",
    "Provision",
    "Provisioner",
    "Source",
    "StageProgress",
    "Survey",
    "foreseen",
    "open_sources",
    "provide",
    "survey",
    "write_audit",
]

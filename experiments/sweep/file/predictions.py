"""Where the out-of-fold predictions of a sweep's winner are kept, for the sweeps that are built upon them.

The folder is named by all that the predictions hang on: when the first stage changes, those of the second find
another one, and nothing that older results were made of is overwritten.
"""

from __future__ import annotations

from pathlib import Path

from experiments.ledger.record import Record, RecordError, read
from experiments.sweep.file.winners import Winner
from utils.errors import Problem, UserError
from utils.identity import digest

PREDICTIONS = "predictions"
FOLDS_FILE = "folds.csv"
_VERSION = "1"


def predictions_folder(results: Path, winner: Winner) -> Path:
    """``<results>/predictions/<sweep>/<hash of the records>``. Raises UserError as `records_of` does."""
    return folder_of_predictions(results, winner.sweep, winner.row["configuration"])


def folder_of_predictions(results: Path, sweep: str, configuration: str) -> Path:
    """Where the predictions of a configuration are, or would be. Raises UserError as `records_of` does."""
    records = records_of(results, sweep, configuration)
    made_of = [[record.fold, record.data, record.split, record.files["best.pt"].sha256] for record in records]
    return results / PREDICTIONS / sweep / digest([_VERSION, configuration, made_of])


def records_of(results: Path, sweep: str, configuration: str) -> list[Record]:
    """The records of a configuration's runs, fold by fold; each is complete and has a checkpoint.

    Raises UserError where one is damaged or has none.
    """
    root = results / "runs" / sweep / configuration
    records, where = [], f"{configuration} of {sweep}"
    for folder in sorted(root.glob("fold-*"), key=lambda path: (len(path.name), path.name)):
        try:
            record = read(folder)
        except RecordError as error:
            raise UserError(Problem(where, f"its record is damaged ({error}); repeat its run")) from None
        if record is not None and record.status == "complete" and "best.pt" in record.files:
            records.append(record)
    if not records:
        raise UserError(Problem(where, f"none of its runs in {root} has left a network; repeat them"))
    return records

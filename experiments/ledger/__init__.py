"""The ledger: what finished runs leave on disk, the only truth about a sweep."""

from experiments.ledger.ledger import Ledger
from experiments.ledger.lock import RunLock, SweepLock
from experiments.ledger.record import Record, RecordError

__all__ = ["Ledger", "Record", "RecordError", "RunLock", "SweepLock"]

"""Results without a shared file system: every machine keeps its own folder, a store carries what must travel."""

STORED_EXECUTION = "experiments.storage.execution:StoredExecution"
"""What a worker executes a run with where there is a store, by name: naming it imports no torch."""

"""The terminal: progress while a sweep runs, and the signals that come from it."""

"""How text becomes one tree of values that knows where each was written: file, base files, --demo, --set."""

"""``python -m experiments.sweep.schema`` writes `sweeps/schema.json`."""

from experiments.sweep.schema.json_schema import SCHEMA_FILE, schema_text
from utils.files import write_text_atomically

if __name__ == "__main__":
    write_text_atomically(SCHEMA_FILE, schema_text())

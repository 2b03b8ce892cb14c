"""What datasets on disk have in common: a folder that nothing may lead out of, files of cases, tables."""

from utils.datasets.files.dataset import FileDataset
from utils.datasets.files.table import Row, Table, read_table

__all__ = ["FileDataset", "Row", "Table", "read_table"]

"""Stained tissue, in which every nucleus is drawn."""

from utils.datasets.histology import nuclei as nuclei
from utils.datasets.histology import oral_epithelium as oral_epithelium

"""Made data in the exact layout of a dataset, small: to see what a layout is, to try a dataset, to test its class.

``python -m utils.datasets.miniatures mias data/mias_mini`` writes one. The pictures are phantoms, whatever they stand
for: they have the sizes of thumbnails and say nothing about real images.
"""

from utils.datasets.miniatures.registry import MINIATURES, write_miniature

__all__ = ["MINIATURES", "write_miniature"]

"""Decoded, preprocessed and resized images of a data set, once for all runs, as memory-mapped arrays.

A cache is a folder named by a hash of everything that determines it, so it is never out of date: other
data, steps or sizes give another folder. It appears by one rename, whole or not at all. What it holds:
images and masks at the network's size, masks at their own resolution (one bit per pixel) for
evaluation, with the numbers of their instances where the data set knows them, labels, and a manifest
with the size and SHA-256 of every file, and the source and pixel spacing of the cases that have one.
"""

from utils.images.cache.building import build_cache, cache_key
from utils.images.cache.opened import ImageCache

__all__ = ["ImageCache", "build_cache", "cache_key"]

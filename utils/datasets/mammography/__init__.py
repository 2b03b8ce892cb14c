"""Mammograms: CBIS-DDSM, INbreast and mini-MIAS."""

from utils.datasets.mammography import cbis_ddsm as cbis_ddsm
from utils.datasets.mammography import inbreast as inbreast
from utils.datasets.mammography import mias as mias

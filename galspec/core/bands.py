"""Bands, pixels and photometric units: g r i z y, 0.25 arcsec pixels, nJy, everywhere."""

from typing import Final

BANDS: Final = ("g", "r", "i", "z", "y")
N_BANDS: Final = len(BANDS)

PIXEL_SCALE_ARCSEC: Final = 0.25
CUTOUT_SIZE_PIX: Final = 224
CUTOUT_SHAPE: Final = (N_BANDS, CUTOUT_SIZE_PIX, CUTOUT_SIZE_PIX)

#: AB magnitude of 1 nJy (Oke & Gunn 1983: 3631 Jy at magnitude 0).
AB_ZEROPOINT_NJY: Final = 31.4
#: 1 count/s at the zero point of PS1 stacks, 25 mag, in nJy: 10^(0.4 (31.4 - 25)).
NJY_PER_COUNT_ZP25: Final = 10 ** (0.4 * (AB_ZEROPOINT_NJY - 25.0))

#: On disk and in GPU memory images are float16 in units of 100 nJy, because a bright
#: core in nJy would overflow float16 (largest number 65504).
IMAGE_SCALE_NJY: Final = 100.0
#: Pixels are clipped here (65000 stored units) before they are stored as float16.
IMAGE_CLIP_NJY: Final = 6.5e6

#: Diameter of the fibres of the original SDSS spectrographs (BOSS: 2 arcsec).
SDSS_FIBRE_DIAMETER_ARCSEC: Final = 3.0

"""Names, versions and array layout inside a survey folder; the one place that knows them."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from galspec.core.bands import CUTOUT_SHAPE, IMAGE_SCALE_NJY
from galspec.core.errors import SurveyError
from galspec.core.wavelength import LOGLAM_START, LOGLAM_STEP, N_WAVE

FORMAT: Final = "galspec-survey"
VERSION: Final = 1
#: Galaxies a shard: the unit of work of every writer.
SHARD: Final = 256
#: Spectra a chunk inside a shard: one galaxy is read by decompressing 32 kB.
SPECTRUM_CHUNK: Final = 8
SOURCES: Final = ("SIMULATED", "REAL")
SPECTRUM_ARRAYS: Final = ("flux", "ivar", "flux_true")

CATALOG: Final = "catalog.parquet"
METADATA: Final = "survey.json"
IMAGES: Final = "images.zarr"
SPECTRA: Final = "spectra.zarr"
THUMBNAILS: Final = "thumbnails.parquet"
PREDICTIONS: Final = "predictions"

_FLUX_UNIT = "1e-17 erg s-1 cm-2 Angstrom-1"
UNITS: Final = {
    "images": "100 nJy per pixel (AB); NaN = no data",
    "flux": _FLUX_UNIT,
    "ivar": f"({_FLUX_UNIT})-2; 0 = no data",
    "flux_true": f"{_FLUX_UNIT}; noise-free, simulated surveys only",
    "loglam": f"log10(vacuum Angstrom), rest frame: {LOGLAM_START} + {LOGLAM_STEP} * arange({N_WAVE})",
}

# Shuffled bits of float16 compress by a tenth in images and by a third in spectra.
_COMPRESSOR = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")


def create_images(path: Path, n_galaxies: int) -> zarr.Array[Any]:
    """Create the image array (N, 5, 224, 224) float16; one galaxy a chunk, 256 a shard file."""
    return zarr.create_array(
        path,
        shape=(n_galaxies, *CUTOUT_SHAPE),
        chunks=(1, *CUTOUT_SHAPE),
        shards=(SHARD, *CUTOUT_SHAPE),
        dtype=np.float16,
        fill_value=np.nan,
        compressors=_COMPRESSOR,
        attributes={"units": "nJy", "scale": IMAGE_SCALE_NJY, "bands": "grizy"},
    )


def create_spectra(path: Path, n_galaxies: int, names: tuple[str, ...], dtype: str = "float32") -> dict[str, Any]:
    """Create the spectrum arrays (N, 1000) in one Zarr group; return them by name."""
    group = zarr.create_group(path, attributes={"loglam_start": LOGLAM_START, "loglam_step": LOGLAM_STEP})
    for name in names:
        group.create_array(
            name,
            shape=(n_galaxies, N_WAVE),
            chunks=(SPECTRUM_CHUNK, N_WAVE),
            shards=(SHARD, N_WAVE),
            dtype=dtype,
            fill_value=0.0,
            compressors=_COMPRESSOR,
            attributes={"units": UNITS[name]},
        )
    return dict(group.arrays())


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read and check ``survey.json``.

    Raises
    ------
    SurveyError
        If the folder or the file is missing, is not a survey, is of another version, or names
        a source other than SIMULATED and REAL.
    """
    path = folder / METADATA
    if not folder.is_dir():
        raise SurveyError(f"{folder} is not a folder; give a survey folder made by `python -m galspec simulate`.")
    if not path.is_file():
        raise SurveyError(f"{folder} holds no {METADATA}, so it is not a finished survey folder.")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise SurveyError(f"{path} is not valid JSON ({error}); restore the file or make the survey again.") from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise SurveyError(f"{path} does not describe a galspec survey (format is not {FORMAT!r}).")
    if metadata.get("version") != VERSION:
        raise SurveyError(
            f"{folder} is a survey of version {metadata.get('version')!r}; this galspec reads version {VERSION}. "
            "Update galspec or make the survey again."
        )
    if metadata.get("source") not in SOURCES:
        raise SurveyError(f"{path}: source is {metadata.get('source')!r}, but must be one of {', '.join(SOURCES)}.")
    return metadata

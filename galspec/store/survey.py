"""Open a survey folder lazily: a galaxy is read in milliseconds, whatever the survey's size."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from galspec.core.errors import SurveyError
from galspec.core.wavelength import N_WAVE
from galspec.store import layout
from galspec.store.images import from_stored, to_stored

#: Columns with these prefixes are the renderer's parameters, not part of the public catalogue.
RENDER_PREFIXES = ("c_", "m_")


@dataclasses.dataclass(frozen=True)
class SpectrumRecord:
    """One galaxy's spectrum on the rest-frame grid.

    Parameters
    ----------
    flux : ndarray, shape (1000,), float32
        1e-17 erg/s/cm2/A.
    ivar : ndarray, shape (1000,), float32
        Inverse variance; 0 where there are no data.
    flux_true : ndarray, shape (1000,), or None
        Noise-free flux, known for simulated galaxies only.
    redshift : float
    """

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    flux_true: NDArray[np.float32] | None
    redshift: float


class Survey:
    """A survey folder opened for reading; see `open_survey`.

    Parameters
    ----------
    folder : Path
        The survey folder.
    metadata : dict
        The checked content of its survey.json.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]):
        self.folder = folder
        self.metadata = metadata
        self.name = str(metadata["name"])
        self.source = str(metadata["source"])

    def __len__(self) -> int:
        return int(self.metadata["n_galaxies"])

    @property
    def has_images(self) -> bool:
        """True if the images are on disk; otherwise they are rendered from the catalogue."""
        return self._images is not None

    @functools.cached_property
    def catalog(self) -> pd.DataFrame:
        """The public catalogue, one row a galaxy, without the renderer's parameters."""
        names = [name for name in self._parquet.schema_arrow.names if not name.startswith(RENDER_PREFIXES)]
        return _to_frame(self._read_columns(names))

    @functools.cached_property
    def data_hash(self) -> str:
        """SHA-256 of the catalogue file: names the data set in reports and bundles."""
        return hashlib.sha256((self.folder / layout.CATALOG).read_bytes()).hexdigest()

    def row(self, galaxy_id: str) -> int:
        """Return the row of a galaxy.

        Raises
        ------
        SurveyError
            If the survey has no galaxy of this id.
        """
        try:
            return self._row_of_id[galaxy_id]
        except KeyError:
            raise SurveyError(f"survey {self.name!r} has no galaxy {galaxy_id!r}.") from None

    def rows_in_split(self, *splits: str) -> NDArray[np.int64]:
        """Return the rows of one or more splits, ascending."""
        return np.flatnonzero(self.catalog["split"].isin(splits).to_numpy())

    def cutout(self, galaxy: str | int) -> NDArray[np.float32]:
        """Return a galaxy's cutout, shape (5, 224, 224), nJy per pixel, NaN where there are no data."""
        return from_stored(self.images_block(np.array([self._as_row(galaxy)]))[0])

    def images_block(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the images of several rows as stored: (n, 5, 224, 224), float16, 100 nJy per pixel.

        Images that are not on disk are rendered, and rounded as they would be on disk.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if self._images is not None:
            return _read_rows(self._images, rows)
        from galspec.simulation.render import render_row  # SciPy's import would delay the first page by a second

        return np.stack([to_stored(render_row(self.render_parameters(int(row)))) for row in rows])

    def render_parameters(self, row: int) -> dict[str, Any]:
        """Return every catalogue column of a row, with the renderer's parameters, as plain values.

        Raises
        ------
        SurveyError
            If the survey has neither images nor the parameters to render them, or another recipe's.
        """
        from galspec.simulation.galaxy import RECIPE_VERSION

        recipe = self.metadata.get("settings", {}).get("recipe_version", RECIPE_VERSION)
        if recipe != RECIPE_VERSION:
            raise SurveyError(
                f"survey {self.name!r} was made by version {recipe} of the simulation's recipe, and this galspec "
                f"renders version {RECIPE_VERSION}: its images would be others than those it was made with. Its "
                "spectra can be read; for images simulate it again with `python -m galspec simulate`."
            )
        if not any(name.startswith("c_") for name in self._parquet.schema_arrow.names):
            raise SurveyError(f"survey {self.name!r} has no {layout.IMAGES} and no parameters to render images from.")
        return dict(self._render_table.slice(row, 1).to_pylist()[0])

    def spectrum(self, galaxy: str | int) -> SpectrumRecord:
        """Return a galaxy's spectrum."""
        row = self._as_row(galaxy)
        flux_true = self._spectra["flux_true"][row] if "flux_true" in self._spectra else None
        return SpectrumRecord(
            flux=np.asarray(self._spectra["flux"][row], np.float32),
            ivar=np.asarray(self._spectra["ivar"][row], np.float32),
            flux_true=None if flux_true is None else np.asarray(flux_true, np.float32),
            redshift=float(self.catalog["redshift"].iloc[row]),
        )

    def spectra_block(self, rows: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return flux and ivar of several rows, each (n, 1000), float32."""
        rows = np.asarray(rows, dtype=np.int64)
        flux = _read_rows(self._spectra["flux"], rows).astype(np.float32, copy=False)
        ivar = _read_rows(self._spectra["ivar"], rows).astype(np.float32, copy=False)
        return flux, ivar

    def true_spectra_block(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the noise-free flux of several rows, (n, 1000), float32.

        Raises
        ------
        SurveyError
            If the survey is not a simulated one.
        """
        if "flux_true" not in self._spectra:
            raise SurveyError(f"survey {self.name!r} has no noise-free spectra; only simulated surveys know them.")
        rows = np.asarray(rows, dtype=np.int64)
        return _read_rows(self._spectra["flux_true"], rows).astype(np.float32, copy=False)

    def thumbnail(self, galaxy: str | int) -> bytes | None:
        """Return the stored 64-pixel WebP thumbnail, or None if the survey ships none."""
        if self._thumbnails is None:
            return None
        return bytes(self._thumbnails[self._as_row(galaxy)].as_py())

    def prediction_path(self, model_name: str) -> Path:
        """Return where the predictions of a model lie."""
        return self.folder / layout.PREDICTIONS / f"{model_name}.parquet"

    def _as_row(self, galaxy: str | int) -> int:
        if isinstance(galaxy, str):
            return self.row(galaxy)
        if not 0 <= galaxy < len(self):
            raise SurveyError(f"row {galaxy} is outside survey {self.name!r}, which has {len(self)} galaxies.")
        return int(galaxy)

    @functools.cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.catalog["id"])}

    @functools.cached_property
    def _parquet(self) -> pq.ParquetFile:
        path = self.folder / layout.CATALOG
        try:
            parquet = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise SurveyError(f"the catalogue {path} cannot be read ({error}).") from None
        if parquet.metadata.num_rows != len(self):
            raise SurveyError(
                f"{path} has {parquet.metadata.num_rows} rows, but {layout.METADATA} says {len(self)}; "
                "the survey folder is damaged."
            )
        return parquet

    def _read_columns(self, names: list[str]) -> pa.Table:
        try:
            return self._parquet.read(columns=names)
        except (OSError, pa.ArrowInvalid) as error:
            raise SurveyError(f"the catalogue of survey {self.name!r} is damaged ({error}).") from None

    @functools.cached_property
    def _render_table(self) -> pa.Table:
        return self._read_columns(list(self._parquet.schema_arrow.names))

    @functools.cached_property
    def _spectra(self) -> dict[str, Any]:
        path = self.folder / layout.SPECTRA
        try:
            group = zarr.open_group(path, mode="r")
        except (OSError, ValueError) as error:
            raise SurveyError(f"the spectra {path} cannot be opened ({error}).") from None
        arrays: dict[str, Any] = dict(group.arrays())
        for name in ("flux", "ivar"):
            if name not in arrays or arrays[name].shape != (len(self), N_WAVE):
                raise SurveyError(f"{path} must hold {name!r} of shape ({len(self)}, {N_WAVE}).")
        return arrays

    @functools.cached_property
    def _images(self) -> "zarr.Array[Any] | None":
        path = self.folder / layout.IMAGES
        if not path.is_dir():
            return None
        try:
            return zarr.open_array(path, mode="r")
        except (OSError, ValueError) as error:
            raise SurveyError(f"the images {path} cannot be opened ({error}).") from None

    @functools.cached_property
    def _thumbnails(self) -> pa.ChunkedArray | None:
        path = self.folder / layout.THUMBNAILS
        return pq.read_table(path, columns=["webp"])["webp"] if path.is_file() else None


def open_survey(folder: str | Path) -> Survey:
    """Open a survey folder; reads survey.json and the catalogue's header, nothing else.

    Parameters
    ----------
    folder : path
        A folder made by `python -m galspec simulate` (or the embedded demo survey).

    Raises
    ------
    SurveyError
        If the folder is not a survey, is of an unknown version, or is damaged.
    """
    folder = Path(folder)
    survey = Survey(folder, layout.read_metadata(folder))
    _ = survey._parquet  # a catalogue that does not fit its survey.json is refused here, not on first use
    return survey


#: Chunks that are read in vain between two wanted rows, rather than asking once more.
_GAP_CHUNKS: Final = 4


def _read_rows(array: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read rows in any order, as few contiguous slices.

    Zarr's own selection by a list of rows took 20 times as long as one slice over all of them, in a sharded array.
    """
    if not len(rows):
        return np.asarray(array[:0])
    wanted, places = np.unique(rows, return_inverse=True)
    ends = np.flatnonzero(np.diff(wanted) > _GAP_CHUNKS * array.chunks[0] + 1) + 1
    runs = np.split(wanted, ends)
    found = [np.asarray(array[int(run[0]) : int(run[-1]) + 1])[run - run[0]] for run in runs]
    return (found[0] if len(found) == 1 else np.concatenate(found))[places]


def _to_frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    if "id" not in frame or not all(isinstance(name, str) for name in frame["id"]):
        raise SurveyError("the catalogue must have a column 'id' of strings: long numeric ids lose digits.")
    return frame

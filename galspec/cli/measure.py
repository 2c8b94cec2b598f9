"""`python -m galspec measure`: emission lines and stellar indices of a survey's spectra or of SDSS files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

_FORMATS: Final = (".ecsv", ".csv", ".parquet")
_FLUX_UNIT: Final = "1e-17 erg / (s cm2)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--survey", type=Path, metavar="DIR", help="a survey folder: measure its observed spectra")
    what.add_argument("--spectrum", type=Path, nargs="+", metavar="FITS", help="SDSS spectra")
    parser.add_argument("--split", help="of a survey: train, valid, calibration or test (default: all)")
    parser.add_argument("--n", type=int, help="of a survey: only the first so many galaxies")
    parser.add_argument("--out", type=Path, required=True, help="table to write: .ecsv, .csv or .parquet")


def run(args: argparse.Namespace) -> int:
    """Measure and write."""
    from galspec.core.errors import ConfigError

    if args.out.suffix not in _FORMATS:
        raise ConfigError(f"cannot write {args.out.name!r}: the name must end in {', '.join(_FORMATS)}.")
    if args.spectrum and (args.split is not None or args.n is not None):
        raise ConfigError("--split and --n belong to --survey; leave them out for --spectrum.")
    if args.n is not None and args.n < 1:
        raise ConfigError(f"--n is {args.n}, but at least one galaxy is needed.")
    table, source = _of_files(args.spectrum) if args.spectrum else _of_survey(args.survey, args.split, args.n)
    _write(table, args.out, _provenance(source))
    print(f"{len(table)} {source['source']} spectra measured: {args.out}")
    return 0


def _of_survey(folder: Path, split: str | None, n_galaxies: int | None) -> "tuple[pd.DataFrame, dict[str, str]]":
    import numpy as np
    import pandas as pd

    from galspec.core.errors import ConfigError
    from galspec.measurement.table import measure_spectra
    from galspec.store.survey import open_survey

    survey = open_survey(folder)
    rows = np.arange(len(survey)) if split is None else survey.rows_in_split(split)
    rows = rows[:n_galaxies]
    if not len(rows):
        known = ", ".join(sorted(survey.catalog["split"].unique()))
        raise ConfigError(f"survey {survey.name!r} has no galaxy in the split {split!r}; it has {known}.")
    catalog = survey.catalog.iloc[rows][["id", "split", "redshift"]].reset_index(drop=True)
    flux, ivar = survey.spectra_block(rows)
    measured = measure_spectra(flux, ivar, catalog["redshift"].to_numpy(np.float64))
    return pd.concat([catalog, measured], axis=1), {"source": survey.source, "survey": survey.name}


def _of_files(paths: list[Path]) -> "tuple[pd.DataFrame, dict[str, str]]":
    import numpy as np
    import pandas as pd

    from galspec.measurement.table import measure_spectra
    from galspec.readers.sdss import read_sdss_spectrum, to_rest_grid

    spectra = [to_rest_grid(read_sdss_spectrum(path)) for path in paths]
    redshift = np.array([spectrum.redshift for spectrum in spectra])
    described = pd.DataFrame({"file": [path.name for path in paths], "redshift": redshift})
    flux, ivar = np.stack([s.flux for s in spectra]), np.stack([s.ivar for s in spectra])
    return pd.concat([described, measure_spectra(flux, ivar, redshift)], axis=1), {"source": "REAL", "survey": "SDSS"}


def _provenance(source: dict[str, str]) -> dict[str, str]:
    from galspec import __version__
    from galspec.measurement.continuum import shipped_templates

    templates = shipped_templates().metadata
    return {
        **source,
        "flux_unit": f"{_FLUX_UNIT}, observed frame",
        "ew": "Angstrom, rest frame, positive in emission",
        "continuum": f"templates of {templates['n_galaxies']} SIMULATED galaxies, seed {templates['seed']}, "
        f"recipe {templates['recipe_version']}",
        "creator": f"galspec {__version__}",
    }


def _write(table: "pd.DataFrame", path: Path, provenance: dict[str, str]) -> None:
    """Write the table atomically, with its provenance in the header and units where the format has them."""
    from galspec.core.files import atomic_path

    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(table, temporary, provenance)
        elif path.suffix == ".ecsv":
            _to_qtable(table, provenance).write(temporary, format="ascii.ecsv")
        else:
            with temporary.open("w", encoding="utf-8", newline="") as handle:
                handle.writelines(f"# {key}: {value}\n" for key, value in provenance.items())
                table.to_csv(handle, index=False)


def _write_parquet(table: "pd.DataFrame", path: Path, provenance: dict[str, str]) -> None:
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    from galspec.measurement.table import column_unit

    units = {name: unit for name in table.columns if (unit := column_unit(name, _FLUX_UNIT))}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    stored = json.dumps({**provenance, "units": units}).encode()
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"galspec": stored}), path)


def _to_qtable(table: "pd.DataFrame", provenance: dict[str, str]) -> Any:
    import astropy.units as u
    import numpy as np
    from astropy.table import QTable

    from galspec.measurement.table import column_unit

    found = QTable(meta=provenance)
    for name in table.columns:
        values = table[name].to_numpy()
        unit = column_unit(name, _FLUX_UNIT)
        is_text = not np.issubdtype(values.dtype, np.number)
        found[name] = values.astype(str) if is_text else (values * u.Unit(unit) if unit else values)
    return found

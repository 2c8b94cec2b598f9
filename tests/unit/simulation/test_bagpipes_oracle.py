"""The basis against Bagpipes itself: the same history, dust and gas must give the same spectrum.

Bagpipes is imported here and nowhere else. Compared is what both can represent: one metallicity of the grid, a delayed
exponential history plus constant recent star formation, the two power laws of dust of Wild et al. (2007), whose slopes
are those of the simulation, ionisation parameter log U = -3, no broadening.

What remains is a level, +0.1 to +0.4 %, and not a shape: Bagpipes samples its histories every 0.0025 dex of age, and a
sample on the edge of an age bin falls whole into the older bin, so its stars are a little older and fainter. With
samples every 0.0005 dex the level is below 0.05 %.
"""

import importlib.util
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from galspec.core.wavelength import air_to_vacuum, wave_edges, wave_grid
from galspec.simulation import components
from galspec.simulation.basis import SUBSTEPS, Basis, rebin_to_grid
from galspec.simulation.components import Dust
from galspec.simulation.emission import LINE_INDEX, draw_hii_ratios
from galspec.simulation.history import History, _Clock, _delayed_tau, _recent, delayed_tau_x

pytestmark = pytest.mark.slow

N_GALAXIES = 20
#: Bagpipes' solar luminosity, erg/s: both tables are in solar luminosities, so its own value leaves none of it behind.
LSUN_ERG_S = 3.826e33
HALPHA = "H  1  6562.80A"
#: Within this of a line of the nebular grid no continuum is compared: Bagpipes puts a line into one of its pixels.
LINE_HALF_WIDTH = 12.0


@pytest.fixture(scope="module")
def bagpipes() -> ModuleType:
    """The package, sampling the optical finely enough for its stellar library."""
    missing = [name for name in ("bagpipes", "spectres", "corner", "h5py") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: run `make simulate`")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import bagpipes
    # Coarser pixels than the library's 0.9 angstrom would compare point samples with means.
    bagpipes.config.R_spec = 5000.0
    # The fine sampling starts at the bluest wavelength over 1 + this: a grid of 11 is memory for nothing.
    bagpipes.config.max_redshift = 0.3
    return bagpipes


class Recipe:
    """Parameters of one comparison, drawn in the ranges of the simulation."""

    def __init__(self, seed: int, basis: Basis) -> None:
        rng = np.random.default_rng([2018, seed])
        self.node = int(rng.integers(2, 6))
        self.metallicity = float(basis.metallicity[self.node])
        self.start = float(rng.uniform(3.0, 12.5))
        self.x = delayed_tau_x(10.0 ** rng.uniform(-3.0, -0.6), self.start)
        self.recent_gyr = float(10.0 ** rng.uniform(-1.5, 0.0))
        self.recent_share = float(10.0 ** rng.uniform(-4.0, -1.5))
        is_dusty = rng.random() < 0.7
        self.a_ism, self.a_cloud = (rng.uniform(0.05, (1.0, 1.5)) if is_dusty else np.zeros(2)).tolist()
        self.is_nebular = seed % 2 == 0

    def our_masses(self, basis: Basis) -> np.ndarray:
        """Return the mass formed by age bin, 1 Msun in all, shape (A,)."""
        clock = _Clock(basis.substep_age, basis.substep_width, basis.age_of_universe_gyr(0.0))
        main = clock.normalised(_delayed_tau(clock, self.start, self.x))
        recent = _recent(clock, 0.0, self.recent_gyr)
        mass = (1.0 - self.recent_share) * main + self.recent_share * recent / recent.sum()
        return mass.reshape(-1, SUBSTEPS).sum(axis=1)

    def bagpipes_components(self) -> dict[str, Any]:
        """Return the same as the model components of Bagpipes, at redshift 0: luminosities, not fluxes."""
        found: dict[str, Any] = {
            "redshift": 0.0,
            "delayed": {
                "age": self.start,
                "tau": self.start / self.x,
                "massformed": float(np.log10(1.0 - self.recent_share)),
                "metallicity": self.metallicity,
            },
            "constant": {
                "age_min": 0.0,
                "age_max": self.recent_gyr,
                "massformed": float(np.log10(self.recent_share)),
                "metallicity": self.metallicity,
            },
            # eta is what young stars have in front of them, over what all have; 1e-9 keeps it finite without dust.
            "dust": {"type": "VW07", "Av": self.a_ism + 1e-9, "eta": 1.0 + self.a_cloud / (self.a_ism + 1e-9)},
            "t_bc": 0.01,
        }
        return found | ({"nebular": {"logU": -3.0}} if self.is_nebular else {})


def our_spectrum(basis: Basis, recipe: Recipe) -> tuple[np.ndarray, float]:
    """Return the continuum on the grid, Lsun/A, and Halpha, Lsun, per formed solar mass, both behind dust."""
    disk = np.zeros(basis.live_fraction.shape)
    disk[recipe.node] = recipe.our_masses(basis)
    history = History(np.zeros_like(disk), disk, 0.0, 0.0, float(np.log10(recipe.metallicity)))
    dust = Dust(a_v_ism=recipe.a_ism, a_v_cloud=recipe.a_cloud, a_v_bulge=0.0, slope=0.7)
    continua = components._stellar_continua(basis, history, dust)
    ratios = draw_hii_ratios(np.random.default_rng(1), 10.0, 0.0)  # Halpha does not depend on them
    lines = components._star_formation_lines(basis, history, dust, ratios)
    return rebin_to_grid(continua.sum(axis=0)), float(lines[1, LINE_INDEX["Halpha"]])


def their_spectrum(bagpipes: ModuleType, recipe: Recipe) -> tuple[np.ndarray, float]:
    """Return the same from Bagpipes; the spectrum holds the lines too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bagpipes.model_galaxy(recipe.bagpipes_components(), spec_wavs=np.arange(3300.0, 8450.0, 5.0))
    is_near = (model.wavelengths > 3300.0) & (model.wavelengths < 8450.0)
    wave = air_to_vacuum(model.wavelengths[is_near])  # its tables are in air
    flux = model.spectrum_full[is_near] / LSUN_ERG_S
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (flux[1:] + flux[:-1]) * np.diff(wave))])
    edges = wave_edges()
    mean = np.diff(np.interp(edges, wave, integral)) / np.diff(edges)
    return mean, float(model.line_fluxes[HALPHA]) / LSUN_ERG_S if recipe.is_nebular else 0.0


@pytest.mark.parametrize("seed", range(N_GALAXIES))
def test_a_spectrum_is_that_of_bagpipes(bagpipes, basis: Basis, seed, monkeypatch) -> None:
    recipe = Recipe(seed, basis)
    # The simulation lets dust take a quarter of the ionising photons; Bagpipes lets it take none.
    monkeypatch.setattr(components, "_IONISING_SHARE", 1.0 if recipe.is_nebular else 0.0)
    (ours, our_halpha), (theirs, their_halpha) = our_spectrum(basis, recipe), their_spectrum(bagpipes, recipe)
    lines = air_to_vacuum(bagpipes.config.line_wavs[bagpipes.config.line_wavs > 2500.0])
    wave = wave_grid()
    is_continuum = (np.abs(wave[:, None] - lines) > LINE_HALF_WIDTH).all(axis=1) & (wave > 3400.0) & (wave < 8300.0)
    assert is_continuum.sum() > 700
    ratio = ours[is_continuum] / theirs[is_continuum]
    assert np.median(np.abs(ratio - 1.0)) < 0.005
    assert np.percentile(np.abs(ratio - 1.0), 99) < 0.02
    if recipe.is_nebular:
        assert our_halpha == pytest.approx(their_halpha, rel=0.05)


def test_the_shape_between_features_needs_vacuum_wavelengths(bagpipes, basis: Basis, monkeypatch) -> None:
    # Were the library's air wavelengths taken for vacuum, Ca H and K would be 1 pixel off: the oracle must see that.
    recipe = Recipe(1, basis)
    monkeypatch.setattr(components, "_IONISING_SHARE", 0.0)
    ours, theirs = our_spectrum(basis, recipe)[0], their_spectrum(bagpipes, recipe)[0]
    is_blue = (wave_grid() > 3900.0) & (wave_grid() < 4400.0)
    scatter = [np.std((np.roll(ours, shift) / theirs)[is_blue]) for shift in (-1, 0, 1)]
    assert scatter[1] < 0.2 * min(scatter[0], scatter[2])

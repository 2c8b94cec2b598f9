"""Latents are named by what they follow: the sign decides the order of the words, and an axis names one latent."""

import numpy as np
import pytest

from galspec.core.errors import ShapeError
from galspec.training.latent_names import MEANINGS, name_latents, spearman_matrix


def mixed(rng: np.random.Generator, target: np.ndarray, share: float) -> np.ndarray:
    """Return values that follow ``target`` in part."""
    return share * target + (1.0 - share) * rng.standard_normal(len(target))


def test_names_flip_with_the_sign(rng):
    dn4000 = rng.normal(1.5, 0.3, 400)
    latents = mixed(rng, (dn4000 - 1.5) / 0.3, 0.8)[:, None]
    assert name_latents(latents, {"dn4000": dn4000}) == ["L1: young <-> old"]
    assert name_latents(-latents, {"dn4000": dn4000}) == ["L1: old <-> young"]


def test_only_ranks_count(rng):
    ew = rng.normal(size=300)
    latents = mixed(rng, ew, 0.9)[:, None]
    assert name_latents(np.exp(3 * latents), {"ew_Halpha": np.exp(ew)}) == ["L1: quiescent <-> line-emitting"]


def test_an_axis_names_the_latent_that_follows_it_best(rng):
    age, dust = rng.standard_normal((2, 600))
    latents = np.stack([mixed(rng, age, 0.6) + 0.4 * dust, mixed(rng, age, 0.95)], axis=1)
    names = name_latents(latents, {"dn4000": age, "balmer_decrement": dust})
    assert names == ["L1: clear <-> dusty", "L2: young <-> old"]


def test_quantities_of_one_axis_name_one_latent(rng):
    dust = rng.standard_normal(500)
    latents = np.stack([mixed(rng, dust, 0.9), mixed(rng, dust, 0.7)], axis=1)
    names = name_latents(latents, {"balmer_decrement": dust, "a_v": mixed(rng, dust, 0.9)})
    assert names == ["L1: clear <-> dusty", "L2: no clear meaning"]


def test_a_weak_correlation_names_nothing(rng):
    values = rng.standard_normal(2000)
    latents = np.stack([mixed(rng, values, 0.15), mixed(rng, values, 0.5)], axis=1)
    assert name_latents(latents, {"log_o3": values}) == [
        "L1: no clear meaning",
        "L2: low ionisation <-> high ionisation",
    ]


def test_what_was_not_measured_does_not_count(rng):
    values = rng.standard_normal(1000)
    latents = values[:, None].copy()
    gaps = np.where(np.arange(1000) < 500, values, np.nan)
    gaps[3] = np.inf
    assert name_latents(latents, {"log_n2": gaps}) == ["L1: metal-poor gas <-> metal-rich gas"]
    rare = np.where(np.arange(1000) < 40, values, np.nan)  # 4 % of the galaxies say nothing of the others
    assert name_latents(latents, {"log_n2": rare}) == ["L1: no clear meaning"]
    assert name_latents(latents, {"log_n2": np.full(1000, np.nan)}) == ["L1: no clear meaning"]


def test_a_constant_or_an_unknown_quantity_names_nothing(rng):
    latents = rng.standard_normal((100, 1))
    assert name_latents(latents, {"dn4000": np.ones(100), "shoe_size": latents[:, 0]}) == ["L1: no clear meaning"]
    assert name_latents(latents, {}) == ["L1: no clear meaning"]


def test_the_matrix_is_spearmans(rng):
    latents = rng.standard_normal((200, 2))
    names, matrix = spearman_matrix(latents, {"a": latents[:, 0] ** 3, "b": -latents[:, 1], "c": np.full(200, np.nan)})
    assert names == ["a", "b", "c"]
    assert matrix[0, 0] == pytest.approx(1.0)
    assert matrix[1, 1] == pytest.approx(-1.0)
    assert abs(matrix[1, 0]) < 0.3
    assert np.isnan(matrix[:, 2]).all()


def test_wrong_shapes_are_refused(rng):
    with pytest.raises(ShapeError, match=r"latents of shape \(N, D\)"):
        name_latents(rng.standard_normal(10), {})
    with pytest.raises(ShapeError, match="'dn4000' has shape"):
        name_latents(rng.standard_normal((10, 2)), {"dn4000": np.ones(9)})


def test_the_table_is_plain_text_and_names_no_quantity_twice():
    quantities = [name for meaning in MEANINGS for name in meaning.quantities]
    assert len(quantities) == len(set(quantities))
    assert all(name == name.lower() for name in quantities)
    assert all((meaning.low + meaning.high).isascii() for meaning in MEANINGS)

"""Paired bootstrap against every resampling there is, and stored errors that come back."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from galspec.core.errors import ConfigError, ShapeError
from galspec.evaluation.paired import galaxy_errors, load_errors, paired_bootstrap, save_errors


def test_few_galaxies_agree_with_every_resampling_there_is():
    first, second = np.array([0.1, 0.5, 0.2, 0.9]), np.array([0.4, 0.1, 0.6, 1.0])
    gap = first - second
    means = np.array([gap[list(draw)].mean() for draw in itertools.product(range(4), repeat=4)])
    found = paired_bootstrap(first, second, n_resamplings=40_000)
    assert found["difference"] == pytest.approx(-0.1)
    assert found["share_order_flips"] == pytest.approx((means >= 0).mean(), abs=0.01)
    assert found["standard_error"] == pytest.approx(means.std(), rel=0.02)
    assert found["interval_68"] == pytest.approx(np.percentile(means, [16, 84]), abs=0.02)
    assert found["interval_95"] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.03)


def test_many_galaxies_agree_with_the_standard_error_of_the_mean(rng):
    common = rng.gamma(1.0, size=3000)  # what is hard for both cancels
    first, second = common + 0.1 * rng.normal(size=3000), common + 0.01 + 0.1 * rng.normal(size=3000)
    found = paired_bootstrap(first, second, n_resamplings=2000)
    assert found["standard_error"] == pytest.approx((first - second).std() / np.sqrt(3000), rel=0.08)
    assert found["interval_95"][0] < found["interval_68"][0] < found["difference"] < found["interval_68"][1]
    assert found["n"] == 3000


def test_order_of_the_two_changes_signs_only():
    first, second = np.array([0.1, 0.5, 0.2]), np.array([0.4, 0.1, 0.6])
    there, back = (paired_bootstrap(*pair, n_resamplings=500) for pair in ((first, second), (second, first)))
    assert there["difference"] == -back["difference"]
    assert there["share_order_flips"] == back["share_order_flips"]
    assert there["interval_95"] == pytest.approx([-value for value in back["interval_95"][::-1]], abs=1e-5)


def test_equal_networks_have_no_order():
    same = np.ones(5)
    assert paired_bootstrap(same, same, 10)["share_order_flips"] is None


@pytest.mark.parametrize("pair", [(np.ones(3), np.ones(4)), (np.ones((3, 2)), np.ones((3, 2))), (np.ones(0),) * 2])
def test_errors_that_do_not_match_are_refused(pair):
    with pytest.raises(ShapeError, match="paired errors must be two"):
        paired_bootstrap(*pair)


def _save(path: Path, errors: np.ndarray, sha256: str = "a" * 64) -> Path:
    save_errors(path, {"valid": errors}, {"valid": sha256})
    return path


def test_stored_errors_keep_the_mean_square_and_stay_small(rng, tmp_path):
    errors = rng.normal(size=(6444, 6))
    path = _save(tmp_path / "row.npz", errors)
    loaded, sha256 = load_errors(path, "valid")
    assert sha256 == "a" * 64
    assert (loaded**2).mean() == pytest.approx((errors**2).mean(), rel=1e-5)
    assert path.stat().st_size < 100_000


def test_seeds_are_averaged_galaxy_by_galaxy(tmp_path):
    paths = [_save(tmp_path / f"{index}.npz", np.full((3, 2), float(index))) for index in (1, 2)]
    squared, _ = galaxy_errors(paths, "valid")
    np.testing.assert_array_equal(squared, [2.5, 2.5, 2.5])


def test_stored_errors_that_cannot_be_used_are_refused(tmp_path):
    one, other = _save(tmp_path / "a.npz", np.ones((3, 2))), _save(tmp_path / "b.npz", np.ones((3, 2)), "b" * 64)
    with pytest.raises(ConfigError, match="different galaxies"):
        galaxy_errors([one, other], "valid")
    with pytest.raises(ConfigError, match="'a' was not measured on the test split"):
        load_errors(one, "test")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_errors(tmp_path / "none.npz", "valid")
    (tmp_path / "c.npz").write_bytes(b"no zip file")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_errors(tmp_path / "c.npz", "valid")
    for bad in (np.nan, 1e6):
        with pytest.raises(ConfigError, match="not finite"):
            _save(tmp_path / "d.npz", np.full((3, 2), bad))
    assert not (tmp_path / "d.npz").exists()

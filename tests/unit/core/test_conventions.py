"""Bands, grid, line table, air and vacuum, splits, atomic files."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from galspec.core import bands, files, lines, splits, wavelength


def test_the_grid_is_the_papers():
    loglam = wavelength.loglam_grid()
    assert loglam.shape == (1000,)
    assert loglam[0] == 3.53
    assert 10 ** loglam[0] == pytest.approx(3388.44, abs=0.01)
    assert 10 ** loglam[-1] == pytest.approx(8310.2, abs=0.1)
    assert pytest.approx(269.2, abs=0.2) == wavelength.PIXEL_KMS


def test_edges_enclose_their_pixels():
    edges, wave = wavelength.wave_edges(), wavelength.wave_grid()
    assert edges.shape == (1001,)
    assert (edges[:-1] < wave).all()
    assert (wave < edges[1:]).all()


@pytest.mark.parametrize(("wave_vac", "wave_air"), [(4862.683, 4861.325), (5008.240, 5006.843), (6564.614, 6562.801)])
def test_air_and_vacuum_agree_with_published_pairs(wave_vac, wave_air):
    assert wavelength.vacuum_to_air(wave_vac) == pytest.approx(wave_air, abs=0.01)
    assert wavelength.air_to_vacuum(wave_air) == pytest.approx(wave_vac, abs=0.01)


def test_air_to_vacuum_inverts_vacuum_to_air():
    wave = np.linspace(2001.0, 12000.0, 501)
    assert np.abs(wavelength.air_to_vacuum(wavelength.vacuum_to_air(wave)) - wave).max() < 1e-9


@pytest.mark.parametrize("bad", [1999.0, np.nan, np.inf, -1.0])
@pytest.mark.parametrize("convert", [wavelength.vacuum_to_air, wavelength.air_to_vacuum])
def test_conversion_refuses_what_it_does_not_hold_for(convert, bad):
    with pytest.raises(ValueError, match=r"finite and >= 2000 angstrom"):
        convert([5000.0, bad])


@pytest.mark.parametrize("line", [*lines.LINES, *lines.SKY_LINES], ids=lambda line: line.name)
def test_every_line_is_in_vacuum(line):
    # Tables that claim vacuum and list air values are common: H-beta at 4861.3 would fail here.
    # Blends are exempt from agreement to 0.05, but must still be vacuum values.
    tolerance = 0.5 if line.is_blend else 0.05
    assert wavelength.air_to_vacuum(line.wave_air) == pytest.approx(line.wave_vac, abs=tolerance)


def test_line_by_name_lists_the_names():
    assert lines.line_by_name("Halpha").wave_vac == 6564.61
    with pytest.raises(KeyError, match="Hbeta"):
        lines.line_by_name("Hzeta")


def test_one_count_at_zero_point_25():
    assert pytest.approx(363.08, abs=0.01) == bands.NJY_PER_COUNT_ZP25
    # 1 nJy is magnitude 31.4 with 3631 Jy at magnitude 0, to the 3631's own rounding.
    assert -2.5 * np.log10(1e-9 / 3631.0) == pytest.approx(bands.AB_ZEROPOINT_NJY, abs=1e-4)


def test_split_is_the_documented_hash():
    u = int.from_bytes(hashlib.sha256(b"sim1-00000002").digest()[:8], "big") / 2**64
    expected = "train" if u < 0.7 else "valid" if u < 0.8 else "calibration" if u < 0.9 else "test"
    assert splits.split_of("sim1-00000002") == expected


def test_splits_have_the_stated_sizes():
    names = [splits.split_of(f"galaxy-{index}") for index in range(20000)]
    share = {split: names.count(split) / len(names) for split in splits.SPLITS}
    assert share == pytest.approx({"train": 0.7, "valid": 0.1, "calibration": 0.1, "test": 0.1}, abs=0.01)


def test_repeat_observations_share_a_group_and_strangers_do_not():
    arcsec = 1 / 3600
    ids = ["b", "a", "c", "d"]
    ra = [10.0, 10.0 + 2 * arcsec, 10.0 + 4 * arcsec, 10.0 + 8 * arcsec]
    # a-b and a-c lie 2 arcsec apart: friends of friends; d lies 4 arcsec from c.
    assert splits.group_ids(ids, ra, [0.0] * 4) == ["a", "a", "a", "d"]


def test_groups_reach_across_ra_zero():
    assert splits.group_ids(["x", "y"], [0.0001, 359.9999], [0.0, 0.0]) == ["x", "x"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "result.json"
    files.write_json(target, {"score": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(target, {"score": float("nan")})
    assert target.read_text() == '{\n  "score": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    def write(fail: bool) -> None:
        with files.atomic_path(tmp_path / "bundle") as temporary:
            temporary.mkdir()
            (temporary / "one").write_text("1")
            if fail:
                raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write(fail=True)
    assert list(tmp_path.iterdir()) == []
    write(fail=False)
    assert (tmp_path / "bundle" / "one").read_text() == "1"

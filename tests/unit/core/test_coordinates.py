"""Positions: every way of writing them, what is refused and why, writing back, cone searches."""

import numpy as np
import pytest

from galspec.core.coordinates import SkyPosition, cone_search, make_position, parse_position, separation_arcsec
from galspec.core.errors import CoordinateError

M87 = (187.70593, 12.39112)


@pytest.mark.parametrize(
    "text",
    [
        "187.70593 12.39112",
        "187.70593, +12.39112",
        "187.70593,12.39112",
        "187.70593;12.39112",
        "187.70593+12.39112",
        "  187.70593\t12.39112\n",
        "187.70593\u00a0+12.39112",
        "187.70593d 12.39112d",
        "187.70593° +12.39112°",
        "187.70593deg +12.39112deg",
        "ra=187.70593 dec=+12.39112",
        "RA: 187.70593, Dec: 12.39112",
        "ICRS 187.70593 12.39112",
        "12:30:49.423 +12:23:28.03",
        "12:30:49.423, +12:23:28.03",
        "12:30:49.423+12:23:28.03",
        "12 30 49.423 +12 23 28.03",
        "12 30 49.423 12 23 28.03",
        "12h30m49.423s +12d23m28.03s",
        "12h30m49.423s+12d23m28.03s",
        "12h 30m 49.423s, +12d 23m 28.03s",
        "12H30M49.423S +12D23M28.03S",
        "12ʰ30ᵐ49.423ˢ +12°23′28.03″",
        "12h30m49.423s +12°23’28.03”",
        "12h30m49.423s +12°23'28.03''",
        "187d42m21.35s +12d23m28.03s",
        "J123049.423+122328.03",
        "SDSS J123049.42+122328.0",
        "SDSSJ123049.42+122328.0",
        "PSO J123049.42+122328.0",
        "https://www.legacysurvey.org/viewer?ra=187.70593&dec=12.39112&layer=ls-dr10&zoom=14",
        "https://www.legacysurvey.org/viewer/?mark=187.70593,12.39112&layer=ls-dr9",
        "www.legacysurvey.org/viewer?ra=187.70593&dec=12.39112",
        "https://skyserver.sdss.org/dr18/VisualTools/explore/summary?ra=187.70593&dec=12.39112",
        "http://skyserver.sdss.org/dr16/en/tools/chart/navi.aspx?ra=187.70593&dec=12.39112&scale=0.2",
        "https://aladin.cds.unistra.fr/AladinLite/?target=12%2030%2049.423%20%2B12%2023%2028.03&fov=0.1",
        "https://aladin.cds.unistra.fr/AladinLite/?target=187.70593+12.39112&fov=0.1",
        "http://127.0.0.1:8501/predict?pos=187.70593,+12.39112",
    ],
)
def test_m87_in_every_way(text):
    position = parse_position(text)
    assert (position.ra_deg, position.dec_deg) == pytest.approx(M87, abs=2e-5)
    assert position.note == ""


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("00:42:44.3 -00:30:00", 10.684583, -0.5),
        ("0 0 0 -0 0 36", 0.0, -0.01),
        ("10.5 −0.25", 10.5, -0.25),
        ("10.5 –45", 10.5, -45.0),
        ("J004244.30-003000.0", 10.684583, -0.5),
        ("0h0m0s -0d30m0s", 0.0, -0.5),
        ("12 30 +45 10", 187.5, 45.0 + 10 / 60),
        ("360 0", 0.0, 0.0),
        ("24:00:00 -90", 0.0, -90.0),
        (".5 -.5", 0.5, -0.5),
        ("187 12", 187.0, 12.0),
    ],
)
def test_signs_and_edges(text, ra, dec):
    position = parse_position(text)
    assert (position.ra_deg, position.dec_deg) == pytest.approx((ra, dec), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("361 10", "right ascension 361 degrees is outside 0-360"),
        ("-5 10", "right ascension -5 degrees is outside 0-360"),
        ("10 91", "declination 91 degrees is outside -90 to 90"),
        ("10 -90:00:01", r"declination -90\.0003 degrees is outside"),
        ("25:00:00 10", "right ascension 375 degrees is outside"),
        ("12:60:00 10:00:00", "has minutes or seconds of 60 or more"),
        ("12:30:61 10:00:00", "has minutes or seconds of 60 or more"),
        ("12:30.5:10 10:00:00", "has a fraction before its last part"),
        ("12h30m49s +12h23m28s", "is in hours; it must be in degrees"),
        ("J126149+122328", "has minutes or seconds of 60 or more"),
        ("J12304+12232", "has five digits before the point"),
        ("B1228+126", "is a B1950 name"),
        ("M87", "is no position; write it like 187.7"),
        ("12 30 49", "is no position"),
        ("187.7", "is no position"),
        ("187.7 abc", "the declination “abc” in “187.7 abc” is not understood"),
        ("nan 12", "is not understood"),
        ("1e2 12", "is not understood"),
        ("", "the position is empty"),
        ("   ", "the position is empty"),
        ("1" * 3000, "a text of 3000 characters is no position"),
        ("https://skyserver.sdss.org/dr18/VisualTools/explore/summary?id=1237648720693755918", "only id, which needs"),
        ("https://example.org/", "holds no position: it gives neither"),
        ("https://aladin.cds.unistra.fr/AladinLite/?target=M87", "the address gives target=“M87”"),
        ("https://www.legacysurvey.org/viewer?ra=400&dec=0", "right ascension 400 degrees is outside"),
    ],
)
def test_what_is_refused_says_why(text, words):
    with pytest.raises(CoordinateError, match=words):
        parse_position(text)


def test_a_short_name_says_how_exact_it_is():
    position = parse_position("J1230+1223")
    assert (position.ra_deg, position.dec_deg) == pytest.approx((187.5, 12.0 + 23 / 60))
    assert position.note == "the name gives the position to 900 arcsec, truncated"


def test_both_forms_are_written_and_read_back():
    position = make_position(*M87)
    assert position.degrees == "187.70593 +12.39112"
    assert position.sexagesimal == "12:30:49.42 +12:23:28.0"
    assert position.text == "187.70593 +12.39112 = 12:30:49.42 +12:23:28.0, ICRS J2000"
    assert "−0.50000 = 00:42:44.30 −00:30:00.0" in make_position(10.684583, -0.5).text
    for text in (position.degrees, position.sexagesimal):
        again = parse_position(text)
        assert separation_arcsec(*M87, [again.ra_deg], [again.dec_deg])[0] < 0.2


def test_rounding_carries_over_and_wraps():
    position = SkyPosition(359.9999999, 9.9999999)
    assert position.degrees == "0.00000 +10.00000"
    assert position.sexagesimal == "00:00:00.00 +10:00:00.0"
    assert SkyPosition(14.9999999, -0.00001).sexagesimal == "01:00:00.00 -00:00:00.0"


def test_random_positions_survive_writing_and_reading(rng):
    for ra, dec in zip(rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50), strict=True):
        position = make_position(ra, dec)
        assert parse_position(position.degrees).dec_deg == pytest.approx(dec, abs=6e-6)
        again = parse_position(position.sexagesimal)
        assert separation_arcsec(ra, dec, [again.ra_deg], [again.dec_deg])[0] < 0.15


def test_separations_agree_with_astropy_at_the_pole_and_across_zero():
    from astropy.coordinates import SkyCoord

    ra, dec = [0.001, 359.999, 180.0, 10.0], [0.0, 0.0, 89.9999, -89.0]
    expected = SkyCoord(359.9995, 89.9, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).arcsec
    assert separation_arcsec(359.9995, 89.9, ra, dec) == pytest.approx(expected, rel=1e-12)
    assert separation_arcsec(359.999, 0.0, [0.001], [0.0])[0] == pytest.approx(7.2)


def test_a_cone_is_sorted_and_the_nearest_is_known():
    ra, dec = np.array([10.0, 10.002, 10.0005, np.nan, 200.0]), np.array([0.0, 0.0, 0.0, 0.0, 5.0])
    found = cone_search(make_position(10.0006, 0.0), 10.0, ra, dec)
    assert found.rows.tolist() == [2, 0, 1]
    assert found.separation_arcsec == pytest.approx([0.36, 2.16, 5.04])
    nothing = cone_search(make_position(11.0, 0.0), 10.0, ra, dec)
    assert (len(nothing.rows), nothing.nearest_row) == (0, 1)
    assert nothing.nearest_arcsec == pytest.approx(0.998 * 3600)
    assert cone_search(make_position(11.0, 0.0), 10.0, [np.nan], [0.0]).nearest_row is None
    assert cone_search(make_position(11.0, 0.0), 10.0, [], []).nearest_arcsec == np.inf


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), 1e6])
def test_a_radius_must_be_possible(radius):
    with pytest.raises(CoordinateError, match="is not allowed; give more than 0, up to 648000"):
        cone_search(make_position(0.0, 0.0), radius, [0.0], [0.0])

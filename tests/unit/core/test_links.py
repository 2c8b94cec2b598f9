"""Links to other services: https, the right place, nothing for galaxies that do not exist."""

from urllib.parse import parse_qs, urlsplit

import pytest

from galspec.core.coordinates import parse_position, separation_arcsec
from galspec.core.errors import ConfigError, CoordinateError
from galspec.core.links import SdssIds, external_links

OBJID = "1237648720693755918"
NAMES = ["SkyServer", "Legacy Survey", "PS1 cutout", "Aladin Lite", "SIMBAD", "NED", "VizieR"]


def _query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, strict_parsing=True)


def test_a_simulated_galaxy_has_none_and_says_why():
    found = external_links(187.70593, 12.39112, "SIMULATED", SdssIds(objid=OBJID))
    assert found.links == ()
    assert "is simulated" in found.notes[0]


@pytest.mark.parametrize(("ra", "dec"), [(187.70593, 12.39112), (0.00001, -0.5), (359.99999, 89.9)])
def test_every_link_is_https_and_points_at_the_galaxy(ra, dec):
    found = external_links(ra, dec, "REAL")
    assert [link.name for link in found.links] == NAMES
    assert found.notes == ()
    for link in found.links:
        assert link.url.startswith("https://")
        assert link.what
        assert " " not in link.url
        query = _query(link.url)
        pair = next((query[name][0] for name in ("pos", "target", "Coord", "coordinates", "-c") if name in query), "")
        place = parse_position(pair or f"{query['ra'][0]} {query['dec'][0]}")
        assert separation_arcsec(ra, dec, [place.ra_deg], [place.dec_deg])[0] < 0.01


def test_ids_keep_all_their_digits():
    found = external_links(187.70593, 12.39112, "REAL", SdssIds(OBJID, "1237648720693755919", 1045, 52725, 628))
    urls = {link.name: link.url for link in found.links}
    assert [link.name for link in found.links] == ["SkyServer", "SDSS spectrum", *NAMES[1:]]
    assert _query(urls["SkyServer"]) == {"id": [OBJID]}
    assert _query(urls["SDSS spectrum"]) == {"plateid": ["1045"], "mjd": ["52725"], "fiberid": ["628"]}
    only = external_links(187.7, 12.4, "REAL", SdssIds(specobjid="1237648720693755919"))
    assert _query(only.links[0].url) == {"sid": ["1237648720693755919"]}


def test_outside_the_footprint_and_without_a_position():
    south = external_links(10.0, -45.0, "REAL")
    assert "PS1 cutout" not in [link.name for link in south.links]
    assert south.notes == ("Pan-STARRS1 did not look south of −30°.",)
    nowhere = external_links(float("nan"), 0.0, "REAL", SdssIds(objid=OBJID))
    assert [link.name for link in nowhere.links] == ["SkyServer"]
    assert "has no position" in nowhere.notes[0]
    with pytest.raises(CoordinateError, match="outside 0-360"):
        external_links(400.0, 0.0, "REAL")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"objid": 1237648720693755918}, "objid must be a text of up to 20 digits, but is 1237648720693755918"),
        ({"specobjid": "12&x=1"}, "specobjid must be a text of up to 20 digits"),
        ({"plate": 1045, "mjd": 52725}, r"name a spectrum together; got \(1045, 52725, None\)"),
    ],
)
def test_ids_that_are_none_are_refused(parts, words):
    with pytest.raises(ConfigError, match=words):
        SdssIds(**parts)

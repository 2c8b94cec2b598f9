"""Where else a galaxy can be looked at: addresses of public services, none of which galspec needs."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from galspec.core.coordinates import make_position
from galspec.core.errors import ConfigError

#: Pan-STARRS1 saw the sky north of this declination, degrees.
PS1_SOUTHERN_LIMIT_DEG: Final = -30.0
_RADIUS_ARCSEC: Final = 10
#: 240 pixels of 0.25 arcsec: the size of a cutout of galspec, rounded up.
_PS1_SIZE_PIX: Final = 240


@dataclasses.dataclass(frozen=True)
class ExternalLink:
    """A page of another service; it needs the internet.

    Parameters
    ----------
    name : str
        Of the service.
    url : str
        Begins with https.
    what : str
        What it shows, for a tooltip.
    """

    name: str
    url: str
    what: str


@dataclasses.dataclass(frozen=True)
class ExternalLinks:
    """The links of a galaxy.

    Parameters
    ----------
    links : tuple of ExternalLink
    notes : tuple of str
        Why some, or all, are missing: one sentence each.
    """

    links: tuple[ExternalLink, ...]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class SdssIds:
    """What SDSS calls a galaxy; every part may be missing.

    Parameters
    ----------
    objid : str or None
        Photometric object: up to 20 digits, as text, because a float would lose some of them.
    specobjid : str or None
        Spectrum: the same.
    plate, mjd, fiber : int or None
        Where the spectrum was taken; all three or none.

    Raises
    ------
    ConfigError
        If an id is not a text of digits, or only a part of plate, mjd and fiber is given.
    """

    objid: str | None = None
    specobjid: str | None = None
    plate: int | None = None
    mjd: int | None = None
    fiber: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("objid", self.objid), ("specobjid", self.specobjid)):
            is_id = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20
            if value is not None and not is_id:
                raise ConfigError(f"{name} must be a text of up to 20 digits, but is {value!r}.")
        place = (self.plate, self.mjd, self.fiber)
        if any(part is None for part in place) != all(part is None for part in place):
            raise ConfigError(f"plate, mjd and fiber name a spectrum together; got {place}.")


def external_links(ra_deg: float, dec_deg: float, source: str, ids: SdssIds | None = None) -> ExternalLinks:
    """Return links to other services' pages on a galaxy.

    Parameters
    ----------
    ra_deg, dec_deg : float
        ICRS, degrees; NaN if unknown.
    source : str
        SIMULATED or REAL; at the position of a simulated galaxy there is nothing.
    ids : SdssIds, optional

    Raises
    ------
    CoordinateError
        If the position is outside 0-360 or -90 to 90 degrees.
    """
    if source == "SIMULATED":
        return ExternalLinks(
            (), ("This galaxy is simulated: its position is drawn, and no survey has anything there.",)
        )
    ids = ids or SdssIds()
    links = _sdss_by_id(ids)
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)):
        return ExternalLinks(tuple(links), ("This galaxy has no position, so services that go by it are left out.",))
    position = make_position(ra_deg, dec_deg)
    notes = []
    if dec_deg <= PS1_SOUTHERN_LIMIT_DEG:
        notes.append(f"Pan-STARRS1 did not look south of −{-PS1_SOUTHERN_LIMIT_DEG:.0f}°.")
    return ExternalLinks((*links, *_by_position(position.ra_deg, position.dec_deg, bool(ids.objid))), tuple(notes))


def _address(base: str, parameters: Mapping[str, str | int | float]) -> str:
    return f"{base}?{urlencode(parameters, quote_via=quote, safe=',')}"


def _sdss_by_id(ids: SdssIds) -> list[ExternalLink]:
    links = []
    if ids.objid:
        url = _address("https://skyserver.sdss.org/dr18/VisualTools/explore/summary", {"id": ids.objid})
        links.append(ExternalLink("SkyServer", url, "photometry, spectrum and cross-identifications in SDSS DR18"))
    if ids.plate is not None:
        place = {"plateid": ids.plate, "mjd": ids.mjd or 0, "fiberid": ids.fiber or 0}
        url = _address("https://dr18.sdss.org/optical/spectrum/view", place)
        links.append(ExternalLink("SDSS spectrum", url, "interactive spectrum and its FITS file, SDSS DR18"))
    elif ids.specobjid:
        url = _address("https://skyserver.sdss.org/dr18/VisualTools/explore/summary", {"sid": ids.specobjid})
        links.append(ExternalLink("SDSS spectrum", url, "the spectrum's page on SkyServer, SDSS DR18"))
    return links


def _by_position(ra_deg: float, dec_deg: float, has_skyserver: bool) -> list[ExternalLink]:
    ra, dec = f"{ra_deg:.6f}", f"{dec_deg:.6f}"
    pair = f"{ra} {dec_deg:+.6f}"
    links = []
    if not has_skyserver:
        url = _address("https://skyserver.sdss.org/dr18/VisualTools/explore/summary", {"ra": ra, "dec": dec})
        links.append(ExternalLink("SkyServer", url, "the nearest object in SDSS DR18"))
    viewer: dict[str, str | int | float] = {"ra": ra, "dec": dec, "layer": "ls-dr10", "zoom": 15, "mark": f"{ra},{dec}"}
    links.append(
        ExternalLink("Legacy Survey", _address("https://www.legacysurvey.org/viewer", viewer), "deeper images, DR10")
    )
    if dec_deg > PS1_SOUTHERN_LIMIT_DEG:
        cutout: dict[str, str | int | float] = {
            "pos": pair,
            "filter": "color",
            "filetypes": "stack",
            "size": _PS1_SIZE_PIX,
        }
        url = _address("https://ps1images.stsci.edu/cgi-bin/ps1cutouts", cutout)
        links.append(ExternalLink("PS1 cutout", url, "the Pan-STARRS1 stack images, 60 arcsec on a side"))
    aladin: dict[str, str | int | float] = {"target": pair, "fov": 0.03, "survey": "P/PanSTARRS/DR1/color-z-zg-g"}
    simbad: dict[str, str | int | float] = {
        "Coord": pair,
        "CooFrame": "ICRS",
        "Radius": _RADIUS_ARCSEC,
        "Radius.unit": "arcsec",
    }
    ned = {
        "search_type": "Near Position Search",
        "coordinates": f"{ra}d {dec_deg:+.6f}d",
        "radius": f"{_RADIUS_ARCSEC / 60:.3f}",  # arcmin
        "in_csys": "Equatorial",
        "in_equinox": "J2000",
    }
    near = f"within {_RADIUS_ARCSEC} arcsec"
    return [
        *links,
        ExternalLink("Aladin Lite", _address("https://aladin.cds.unistra.fr/AladinLite/", aladin), "any sky survey"),
        ExternalLink(
            "SIMBAD", _address("https://simbad.cds.unistra.fr/simbad/sim-coo", simbad), f"names and papers {near}"
        ),
        ExternalLink("NED", _address("https://ned.ipac.caltech.edu/conesearch", ned), f"extragalactic objects {near}"),
        ExternalLink(
            "VizieR",
            _address("https://vizier.cds.unistra.fr/viz-bin/VizieR", {"-c": pair, "-c.rs": _RADIUS_ARCSEC}),
            f"all catalogues {near}",
        ),
    ]

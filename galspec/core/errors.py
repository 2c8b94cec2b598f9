"""Typed errors: each message says what was wrong, what was expected and what to do."""


class GalspecError(Exception):
    """Base of every error caused by the input; the CLI prints it and exits 2, pages show it as text."""


class ImageError(GalspecError):
    """An image or a set of band images that cannot be used."""


class SpectrumError(GalspecError):
    """A spectrum that cannot be used."""


class SurveyError(GalspecError):
    """A survey folder that is missing, damaged or of an unknown version."""


class SimulationError(GalspecError):
    """A simulation that cannot be started: no basis, no disk space, bad settings."""


class BundleError(GalspecError):
    """A model bundle that is missing, damaged, or paired with the wrong VAE."""


class ShapeError(GalspecError):
    """An array of the wrong shape."""


class ConfigError(GalspecError):
    """A setting or an argument that is not allowed."""


class RunError(GalspecError):
    """A training run that cannot be started or resumed."""


class ScoresError(GalspecError):
    """A table of scores that is missing, damaged, or of another model or survey."""


class CoordinateError(GalspecError):
    """A text that is no position on the sky, or a position that cannot be."""


class QueryError(GalspecError):
    """A filter text that cannot be understood; the message says where and what was expected."""


class VerdictError(GalspecError):
    """A verdict that is not allowed, or a file of verdicts that cannot be read or written."""


class IdListError(GalspecError):
    """A list of galaxies that is empty, too long, or cannot be read or written; or a target list that is none."""


class JobError(GalspecError):
    """A job that cannot be submitted or changed.

    Parameters
    ----------
    message : str
    field : str
        The setting that is wrong, as the form and the command name it; empty if it is none in particular.
    """

    def __init__(self, message: str, field: str = ""):
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field

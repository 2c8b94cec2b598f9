"""Weighted linear least squares of many spectra on the same terms, with a Gaussian prior on each coefficient."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class NormalEquations:
    """Weights of many spectra against fixed terms: the part of the normal matrices that a fit shares with the next.

    Parameters
    ----------
    weight : ndarray, shape (N, 1000)
        Inverse variances, 0 in gaps.
    terms : ndarray, shape (T, 1000)
        Of unit prior variance.
    """

    def __init__(self, weight: Floats, terms: Floats):
        self.weight = weight
        self.terms = terms
        row, column = np.triu_indices(len(terms))
        self._pairs = (row, column)
        self._products = weight @ (terms[row] * terms[column]).T

    def solve(
        self, rows: NDArray[np.int64], residual: Floats, profiles: Floats, profile_variance: float
    ) -> tuple[Floats, Floats]:
        """Fit terms and line profiles together.

        Parameters
        ----------
        rows : ndarray of int, shape (M,)
            Spectra.
        residual : ndarray, shape (M, 1000)
            Flux minus the mean continuum.
        profiles : ndarray, shape (L, 1000)
        profile_variance : float
            Prior variance of an amplitude: so large that only lines without data feel it.

        Returns
        -------
        coefficients : ndarray, shape (M, T + L)
        covariance : ndarray, shape (M, T + L, T + L)
        """
        weight = self.weight[rows]
        n_terms, n_lines = len(self.terms), len(profiles)
        row, column = self._pairs
        precision = np.zeros((len(rows), n_terms + n_lines, n_terms + n_lines))
        precision[:, row, column] = self._products[rows]
        precision[:, column, row] = self._products[rows]
        for line, profile in enumerate(profiles):
            # A line covers a dozen pixels: products over all thousand would take most of the time.
            pixels = np.flatnonzero(profile)
            cross = (weight[:, pixels] * profile[pixels]) @ self.terms[:, pixels].T
            precision[:, :n_terms, n_terms + line] = cross
            precision[:, n_terms + line, :n_terms] = cross
        precision[:, n_terms:, n_terms:] = profile_products(weight, profiles)
        diagonal = np.arange(n_terms + n_lines)
        precision[:, diagonal, diagonal] += np.where(diagonal < n_terms, 1.0, 1.0 / profile_variance)
        covariance = np.asarray(np.linalg.inv(precision), np.float64)
        projected = (residual * weight) @ np.concatenate([self.terms, profiles]).T
        return np.einsum("nkl,nl->nk", covariance, projected), covariance


def profile_products(weight: Floats, profiles: Floats) -> Floats:
    """Return the normal matrices of line profiles alone, shape (N, L, L)."""
    n_lines = len(profiles)
    row, column = np.triu_indices(n_lines)
    pairs = profiles[row] * profiles[column]
    overlaps = pairs.any(axis=1)
    row, column = row[overlaps], column[overlaps]
    products = weight @ pairs[overlaps].T
    matrix = np.zeros((len(weight), n_lines, n_lines))
    matrix[:, row, column] = products
    matrix[:, column, row] = products
    return matrix

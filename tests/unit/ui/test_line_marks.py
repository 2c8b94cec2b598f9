"""Names of lines in the plot: two rows without overlap, the reader's own lines first."""

import itertools

import pytest

from galspec.ui.galaxy_lines import CustomLine
from galspec.ui.line_marks import lines_in_window, place_labels

FULL = (3388.0, 8310.0)


def _spans(labels, window):
    scale = 780.0 / (window[1] - window[0])
    for label in labels:
        centre, half = (label.wave - window[0]) * scale, 2.5 * len(label.text)
        yield (label.is_absorption, label.row), centre - half, centre + half


@pytest.mark.parametrize("window", [FULL, (3650.0, 4200.0), (6460.0, 6820.0), (5780.0, 6010.0)])
def test_names_of_one_row_do_not_overlap(window):
    own = [CustomLine(wave, f"own {wave:.0f}").as_line() for wave in (3900.0, 3905.0, 4870.0, 5900.0, 6570.0)]
    labels = place_labels(lines_in_window("all", window, 0.05, own), window)
    for (row, low, high), (other, other_low, other_high) in itertools.combinations(_spans(labels, window), 2):
        assert row != other or high < other_low or other_high < low


def test_an_own_line_is_named_where_the_table_is_crowded():
    own = [CustomLine(6570.0, "mine").as_line()]
    assert "mine" in [label.text for label in place_labels(lines_in_window("all", FULL, 0.05, own), FULL)]


def test_near_lines_of_one_name_share_it():
    labels = place_labels(lines_in_window("major", FULL), FULL)
    (oii,) = [label for label in labels if label.text == "[O II]"]
    assert [line.name for line in oii.lines] == ["[OII]3726", "[OII]3729"]
    assert not place_labels(lines_in_window("none", FULL), FULL)

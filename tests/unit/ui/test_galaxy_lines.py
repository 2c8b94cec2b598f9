"""Lines of the reader's: frame, medium, and the text in the address."""

import pytest

from galspec.core.wavelength import air_to_vacuum
from galspec.ui.galaxy_lines import MAX_LINES, CustomLine, custom_line, lines_of, lines_text, with_line


def test_each_medium_becomes_rest_vacuum():
    assert custom_line(6564.61, "vacuum", 0.1).wave == 6564.61
    assert custom_line(6562.80, "air", 0.1).wave == pytest.approx(float(air_to_vacuum(6562.80)), abs=5e-4)
    assert custom_line(6564.61 * 1.1, "observed", 0.1).wave == pytest.approx(6564.61, abs=5e-4)


@pytest.mark.parametrize(
    ("wave", "medium"), [(100.0, "vacuum"), (30_000.0, "air"), (2100.0, "observed"), (float("nan"), "vacuum")]
)
def test_wavelengths_out_of_range_are_said(wave, medium):
    with pytest.raises(ValueError, match="lies outside 2000–20000 Å"):
        custom_line(wave, medium, 0.2)


@pytest.mark.parametrize("name", ["a,b", "x:y", "<b>bold</b>", "a much too long name for it"])
def test_names_that_would_break_plot_or_address_are_refused(name):
    with pytest.raises(ValueError, match="the name"):
        custom_line(5303.0, "vacuum", 0.0, name)


def test_text_and_lines_go_round():
    lines = (CustomLine(4472.73, "He I"), CustomLine(5303.0))
    assert lines_of(lines_text(lines)) == (lines, [])


def test_bad_entries_are_reported_and_good_ones_kept():
    lines, problems = lines_of("5303.0,blue,10,4472.73:He I,,6000:<b>")
    assert lines == (CustomLine(4472.73, "He I"), CustomLine(5303.0))
    assert len(problems) == 3
    assert "blue" in problems[0]


def test_there_are_at_most_eight():
    lines: tuple[CustomLine, ...] = ()
    for index in range(MAX_LINES):
        lines = with_line(lines, CustomLine(5000.0 + index))
    with pytest.raises(ValueError, match="remove one"):
        with_line(lines, CustomLine(6000.0))
    assert len(with_line(lines, CustomLine(5000.0, "named"))) == MAX_LINES


def test_an_entry_of_the_line_table_has_air_and_vacuum():
    line = CustomLine(6564.61, "mine").as_line()
    assert (line.label, line.wave_vac, line.kind) == ("mine", 6564.61, "custom")
    assert line.wave_air == pytest.approx(6562.80, abs=0.01)

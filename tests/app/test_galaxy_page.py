"""Galaxy: curves, numbers, window, list, and what is shown when something is missing."""

import base64
import json
import shutil

import numpy as np

from galspec.store import layout


def _figure(at) -> dict:
    return json.loads(at.get("plotly_chart")[0].proto.spec)


def _param(at, name: str) -> str:
    value = at.query_params[name]  # a list after a deep link, a string once the page has written it
    return value if isinstance(value, str) else value[0]


def _alt(at) -> str:
    return at.get("plotly_chart")[0].proto.alt


def test_three_named_curves_and_their_numbers(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    names = [trace.get("name") for trace in _figure(at)["data"] if trace.get("showlegend", True)]
    assert names[:3] == [
        "observed spectrum (SIMULATED)",
        "predicted from the image",
        "VAE reconstruction of the observed",
    ]
    assert [metric.label for metric in at.metric] == [
        "χ²/ν of the prediction",
        "χ²/ν of the VAE",
        "RMSE of normalised flux",
        "RMSE ÷ that of the VAE",
    ]
    assert all(float(metric.value) > 0 for metric in at.metric)
    assert "simulated galaxy sim1-00000031" in _alt(at)
    assert any("SIMULATED" in note.get("text", "") for note in _figure(at)["layout"]["annotations"])


def test_axes_name_frame_medium_and_unit(open_page):
    layout_ = _figure(open_page("galaxy", id="sim1-00000031"))["layout"]
    assert layout_["xaxis"]["title"]["text"] == "Rest-frame wavelength, vacuum [Å]"
    assert layout_["yaxis"]["title"]["text"] == "F<sub>λ</sub> / median(4200–6700 Å)"
    assert "Observed wavelength, vacuum [Å]" in layout_["xaxis2"]["title"]["text"]


def test_true_classes_and_truths_have_units(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    truths = at.table[0].value
    assert truths.set_index("Quantity").loc["Galaxy class", "Value"] == "star-forming"
    assert truths.set_index("Quantity").loc["Stellar mass, log10", "Unit"] == "M☉"


def test_previous_and_next_walk_the_filtered_list(open_page):
    at = open_page("galaxy", id="sim1-00000031", q="class=SF")
    assert "**2** of 15" in "\n".join(element.value for element in at.markdown)
    at.button(key="galaxy_next").click().run()
    assert _param(at, "id") == "sim1-00000059"
    assert _param(at, "q") == "class=SF"
    at.button(key="galaxy_previous").click().run()
    at.button(key="galaxy_previous").click().run()
    assert _param(at, "id") == "sim1-00000003"
    assert at.button(key="galaxy_previous").disabled


def test_a_preset_survives_the_next_galaxy_and_esc_goes_back(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    at.button_group(key="galaxy_preset").set_value("ha").run()
    assert _figure(at)["layout"]["xaxis"]["range"] == [6460.0, 6820.0]
    at.button(key="galaxy_next").click().run()
    assert _figure(at)["layout"]["xaxis"]["range"] == [6460.0, 6820.0]
    assert _param(at, "win") == "ha"
    at.button(key="galaxy_zoom_back").click().run()
    assert _figure(at)["layout"]["xaxis"]["range"][0] < 3400.0


def test_a_deep_link_sets_window_and_lines(open_page):
    at = open_page("galaxy", id="sim1-00000031", win="4800,5100", lines="none")
    assert _figure(at)["layout"]["xaxis"]["range"] == [4800.0, 5100.0]
    assert not [shape for shape in _figure(at)["layout"]["shapes"] if shape["xref"] == "x"]


def test_a_bad_window_is_reported(open_page):
    at = open_page("galaxy", id="sim1-00000031", win="near-Ha", lines="few")
    warnings = "\n".join(element.value for element in at.warning)
    assert "near-Ha" in warnings
    assert "few" in warnings


def test_an_unknown_galaxy_offers_five_that_exist(open_page):
    at = open_page("galaxy", id="sim1-00000032")
    assert "has no galaxy “sim1-00000032”" in at.error[0].value
    offered = [button.label for button in at.button if button.key.startswith("near_")]
    assert len(offered) == 5
    assert "sim1-00000031" in offered
    at.button(key="near_sim1-00000031").click().run()
    assert not at.error
    assert at.metric


def test_a_random_galaxy_is_one_of_the_survey(open_page):
    at = open_page("galaxy", id="nonsense")
    at.button(key="galaxy_random").click().run()
    assert not at.error
    assert _param(at, "id").startswith("sim1-")


def test_without_a_model_the_observed_spectrum_is_shown(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_MODEL", str(tmp_path / "none"))
    at = open_page("galaxy", id="sim1-00000031")
    assert any("there is no model in" in error.value for error in at.error)
    observed = _figure(at)["data"][0]
    assert observed["showlegend"] is not False
    assert _figure(at)["data"][1]["showlegend"] is False


def test_corrupt_weights_are_one_sentence(open_page, monkeypatch, tmp_path, toy_model_dirs):
    broken = tmp_path / "broken"
    shutil.copytree(toy_model_dirs[1], broken)
    data = bytearray((broken / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (broken / "weights.safetensors").write_bytes(bytes(data))
    monkeypatch.setenv("GALSPEC_MODEL", str(broken))
    at = open_page("galaxy", id="sim1-00000031")
    assert any("is corrupt" in error.value for error in at.error)


def test_a_predictor_of_another_vae_is_one_sentence(open_page, monkeypatch, tmp_path, toy_model_dirs):
    from tests.toy_survey import write_toy_models

    other_vae, _ = write_toy_models(tmp_path / "other", seed=7)
    mixed = tmp_path / "mixed"
    shutil.copytree(toy_model_dirs[1], mixed / "toy-cnn")
    shutil.copytree(other_vae, mixed / "vae6")
    monkeypatch.setenv("GALSPEC_MODEL", str(mixed / "toy-cnn"))
    at = open_page("galaxy", id="sim1-00000031")
    assert any("belongs to VAE" in error.value for error in at.error)
    assert _figure(at)["data"][1]["showlegend"] is True
    assert _figure(at)["data"][2]["showlegend"] is False


def test_a_survey_without_images_still_shows_the_spectrum(open_page, monkeypatch, tmp_path, toy_survey_dir):
    folder = tmp_path / "no-images"
    shutil.copytree(toy_survey_dir, folder, ignore=shutil.ignore_patterns(layout.IMAGES))
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    at = open_page("galaxy", id="sim1-00000031")
    assert any("no images.zarr" in error.value for error in at.error)
    assert _figure(at)["data"][0]["showlegend"] is True
    assert _figure(at)["data"][2]["showlegend"] is True


def test_a_spectrum_without_data_still_shows_the_prediction(open_page, monkeypatch, tmp_path, toy_survey_dir):
    import zarr

    folder = tmp_path / "no-data"
    shutil.copytree(toy_survey_dir, folder)
    ivar = zarr.open_group(folder / layout.SPECTRA, mode="r+")["ivar"]
    ivar[4] = np.zeros(1000, np.float32)
    monkeypatch.setenv("GALSPEC_SURVEY", str(folder))
    at = open_page("galaxy", id="sim1-00000031")
    assert len(at.error) == 1
    assert _figure(at)["data"][0]["showlegend"] is False
    assert _figure(at)["data"][1]["showlegend"] is True


def _residual(at) -> np.ndarray:
    values = next(trace for trace in _figure(at)["data"] if trace["name"].startswith("(predicted"))["y"]
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])


def test_smoothing_changes_the_curves_not_the_numbers_and_stays(open_page):
    at = open_page("galaxy", id="sim1-00000031")
    numbers, before = [metric.value for metric in at.metric], _residual(at)
    at.slider(key="galaxy_smooth").set_value(2.0).run()
    assert not np.allclose(_residual(at), before, equal_nan=True)
    assert [metric.value for metric in at.metric] == numbers
    assert _param(at, "smooth") == "2"
    assert any("538 km/s" in caption.value for caption in at.caption)
    at.button(key="galaxy_next").click().run()
    assert at.slider(key="galaxy_smooth").value == 2.0


def test_a_deep_link_sets_the_smoothing_and_a_bad_one_is_reported(open_page):
    at = open_page("galaxy", id="sim1-00000031", smooth="3.5")
    assert at.slider(key="galaxy_smooth").value == 3.5
    at = open_page("galaxy", id="sim1-00000031", smooth="wide")
    assert any("wide" in warning.value for warning in at.warning)
    assert at.slider(key="galaxy_smooth").value == 0.0

"""Train: the list, the form and its bounds, a job's page, comparison, promotion, and when jobs are off."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from galspec.core.home import home_dir, shipped_weights_dir
from galspec.jobs import engine
from galspec.jobs.fields import CNN, PRESETS, VAE
from galspec.jobs.folder import JobFolder, all_folders
from galspec.jobs.job import Resources
from galspec.jobs.state import State
from galspec.jobs.view import look
from tests.unit.jobs.conftest import SLEEP, TRAINING, processes_of, wait_for_state

#: Leaves what a finished training leaves.
FINISHED = """
import json, pathlib, shutil, sys
run = pathlib.Path(sys.argv[1])
with (run / "metrics.jsonl").open("w") as handle:
    for epoch in range(1, 6):
        for batch in range(1, 11):
            step = 10 * (epoch - 1) + batch
            handle.write(json.dumps({"kind": "progress", "epoch": epoch, "batch": batch, "n_batches": 10, "step": step,
                "train_mse": 1 / step, "lr": 0.01, "images_per_s": 50.0, "seconds": step, "time": 1e9 + step}) + "\\n")
        mse = [0.1 * epoch] * 6
        handle.write(json.dumps({"kind": "epoch", "epoch": epoch, "n_epochs": 5, "step": 10 * epoch, "train_mse": 0.5,
            "valid_mse": 0.5 / epoch, "valid_rmse": (0.5 / epoch) ** 0.5, "valid_mse_per_latent": mse,
            "best_epoch": epoch, "seconds": 10 * epoch, "time": 1e9 + 10 * epoch}) + "\\n")
        handle.write(json.dumps({"kind": "samples", "epoch": epoch, "step": 10 * epoch, "ids": ["a", "b"],
            "latents": [[0.1 * epoch] * 6, [0.0] * 6], "targets": [[1.0] * 6, [0.0] * 6]}) + "\\n")
    handle.write("not json\\n")
if len(sys.argv) > 2:
    shutil.copytree(sys.argv[2], run / "bundle")
print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    for pid in processes_of(home_dir()):
        os.kill(pid, signal.SIGKILL)


def _job(script: str, *arguments: str, name: str = "fake", settings: dict | None = None) -> JobFolder:
    program = (sys.executable, "-c", script)
    return engine.submit(name, ("{run}", *arguments), Resources(device="cpu"), settings or {}, program=program)


def _finished(name: str = "done", settings: dict | None = None, bundle: Path | None = None) -> JobFolder:
    """Return a finished job that looks like a training of a network."""
    folder = _job(FINISHED, *([str(bundle)] if bundle else []), name=name, settings=settings)
    wait_for_state(folder, State.FINISHED)
    content = folder.read("job.json") | {"argv": ["train", "cnn", "--out", "{run}"], "program": []}
    content["settings"] = {"n_epochs": 5, **(settings or {})}
    folder.write("job.json", content)
    return folder


def _texts(at) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success)
    return "\n".join(element.value for kind in kinds for element in kind)


def _first(at, name: str) -> str | None:
    value = at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def test_without_jobs_the_page_says_what_to_do(open_page):
    at = open_page("train")
    assert "No jobs yet" in _texts(at)
    at.button(key="train_first").click().run()
    assert _first(at, "new") == "smoke"
    assert at.selectbox(key="train_field_cnn_model").value == "simple-cnn"


def test_jobs_are_off_where_others_reach_the_server(open_page, monkeypatch):
    import streamlit as st

    monkeypatch.setattr(st, "get_option", lambda name: "0.0.0.0" if name == "server.address" else None)  # noqa: S104
    at = open_page("train")
    assert "GALSPEC_ALLOW_JOBS=1" in _texts(at)
    assert not at.selectbox
    assert [button.key for button in at.button] == ["train_help"]
    monkeypatch.setenv("GALSPEC_ALLOW_JOBS", "1")
    assert "No jobs yet" in _texts(open_page("train"))


@pytest.fixture
def switch_jobs_off(monkeypatch):
    """Return a function that lets the server listen where others reach it: jobs are off from then on."""
    import streamlit as st

    real = st.get_option
    where = {"server.address": "0.0.0.0"}  # noqa: S104
    return lambda: monkeypatch.setattr(st, "get_option", lambda name: where.get(name) or real(name))


def test_a_page_drawn_before_jobs_were_switched_off_starts_none(open_page, switch_jobs_off, monkeypatch):
    from galspec.ui import train_estimate

    monkeypatch.setattr(train_estimate, "_TRIALS", {})
    pages = {key: open_page("train", new="smoke") for key in ("train_submit", "train_estimate", "train_simulate")}
    switch_jobs_off()
    for key, at in pages.items():
        at.button(key=key).click().run()
        assert not at.exception
        assert "GALSPEC_ALLOW_JOBS=1" in _texts(at)
    assert all_folders() == []
    assert train_estimate._TRIALS == {}


def test_a_page_drawn_before_jobs_were_switched_off_changes_none(
    open_page, switch_jobs_off, monkeypatch, toy_model_dirs
):
    from galspec.ui.model_card import model_dir

    monkeypatch.delenv("GALSPEC_MODEL")
    done, live = _finished(bundle=toy_model_dirs[1]), _job(SLEEP)
    wait_for_state(live, State.RUNNING)
    pages = {key: open_page("train", job=done.id) for key in ("train_promote", "train_delete")}
    pages["train_delete"].text_input(key="train_delete_word").set_value("done").run()
    pages["train_stop"] = open_page("train", job=live.id)
    switch_jobs_off()
    for key, at in pages.items():
        at.button(key=key).click().run()
        assert not at.exception
    assert done.path.exists()
    assert model_dir() == shipped_weights_dir() / "xresnet18-hybrid"
    assert look(live).state is State.RUNNING
    assert not (live.path / "stop.json").exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fills_the_form(open_page, preset):
    at = open_page("train", new=preset)
    chosen = PRESETS[preset]
    fields = CNN if chosen.what == "cnn" else VAE
    shown = {widget.key: widget.value for kind in (at.selectbox, at.number_input, at.toggle) for widget in kind}
    for field in fields:
        key = f"train_field_{chosen.what}_{field.name}"
        if key in shown:
            assert shown[key] == chosen.settings.get(field.name, field.default), field.name
    assert sum(element.value.startswith("paper: ") for element in at.caption) == sum(
        key.startswith("train_field_") for key in shown
    )
    assert at.number_input(key="train_max").value == chosen.max_galaxies


def test_numbers_are_bounded(open_page):
    at = open_page("train", new="paper10")
    for field in CNN:
        if isinstance(field.default, bool) or field.choices:
            continue
        widget = at.number_input(key=f"train_field_cnn_{field.name}")
        assert (widget.min, widget.max) == (field.low, field.high), field.name


def test_options_of_other_networks_are_not_shown(open_page):
    at = open_page("train", new="simple-cnn")
    keys = {widget.key for kind in (at.selectbox, at.number_input, at.toggle) for widget in kind}
    assert "train_field_cnn_groups" not in keys
    assert "train_field_cnn_deconv_eps" not in keys


def test_the_command_is_shown_and_follows_the_form(open_page):
    at = open_page("train", new="paper10")
    at.number_input(key="train_max").set_value(50).run()
    at.number_input(key="train_field_cnn_n_epochs").set_value(7).run()
    assert any("--max-galaxies 50" in block.value and "train cnn" in block.value for block in at.code)
    assert any(block.value.strip() == "[cnn]\nn_epochs = 7" for block in at.code)
    assert "n_epochs 10 → 7" in _texts(at)
    assert at.button(key="train_submit")


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("train_name", "Not a name!", "name"),
        ("train_device", "gpu", "device"),
        ("train_res_processes", 3, "batch_size"),
    ],
)
def test_what_cannot_be_is_said_before_submit_with_its_field(open_page, key, value, field):
    at = open_page("train", new="smoke")
    kinds = (at.text_input, at.number_input, at.button_group)
    next(widget for kind in kinds for widget in kind if widget.key == key).set_value(value).run()
    assert any(f"Not ready: {field}: " in error.value for error in at.error)
    assert "train_submit" not in {button.key for button in at.button}
    assert all_folders() == []


def test_a_survey_that_is_gone_is_said_before_submit(open_page):
    folder = _finished(settings={"survey": "/no/such/folder"})
    for path, words in (("/no/such/folder", "/no/such/folder holds no survey"), ("~no-such-user", "is no path")):
        folder.write("job.json", folder.read("job.json") | {"settings": {"survey": path}})
        at = open_page("train", job=folder.id)
        at.button(key="train_clone").click().run()
        assert not at.exception
        assert any(error.value.startswith("Not ready: survey: ") and words in error.value for error in at.error)
    assert "train_submit" not in {button.key for button in at.button}


def test_galaxies_are_at_most_so_many(open_page):
    at = open_page("train", new="smoke")  # 512 of a survey of 60
    assert "--max-galaxies" not in at.code[0].value
    at.number_input(key="train_max").set_value(50).run()
    assert "--max-galaxies 50" in at.code[0].value


def test_submit_goes_to_the_job_s_page_at_once(open_page):
    at = open_page("train", new="smoke")
    at.text_input(key="train_name").set_value("mine").run()
    at.button(key="train_submit").click().run()
    folder = all_folders()[0]
    assert _first(at, "job") == folder.id
    assert "**mine**" in _texts(at)
    job = folder.job()
    assert job.settings["model"] == "simple-cnn"
    assert "--samples" in job.argv
    assert (folder.path / "settings.toml").read_text().startswith("[cnn]\n")
    at.button(key="train_stop").click().run()
    assert "Asked to end" in _texts(at)
    wait_for_state(folder, State.CANCELLED)
    at.run()
    assert at.button(key="train_resume")


def test_the_page_of_a_finished_job(open_page):
    folder = _finished(settings={"max_lr": 0.02})
    at = open_page("train", job=folder.id)
    text = _texts(at)
    assert "finished" in text
    assert "valid MSE 0.1000" in text
    assert "1 damaged lines" in text
    assert not [button for button in at.button if button.key == "train_stop"]
    for panel, shown in (("latents", "RMSE per latent"), ("rate", "Learning rate"), ("speed", "Throughput")):
        at.button_group(key="train_panel").set_value(panel).run()
        assert not at.exception
        assert _first(at, "panel") == panel
        assert shown
    at.button_group(key="train_panel").set_value("log").run()
    assert any("done" in block.value for block in at.code)
    at.button_group(key="train_panel").set_value("settings").run()
    assert any('"max_lr": 0.02' in block.value for block in at.code)


def test_sampled_spectra_have_a_scrubber(open_page):
    folder = _finished()
    at = open_page("train", job=folder.id, panel="spectra")
    assert not at.exception
    slider = at.select_slider(key="train_epoch")
    assert slider.options == ["1", "2", "3", "4", "5"]
    assert slider.value == 5
    slider.set_value(2).run()
    assert not at.exception


def _plot_notes(at) -> list[str]:
    (chart,) = at.get("plotly_chart")
    return [note["text"] for note in json.loads(chart.proto.spec)["layout"].get("annotations", [])]


def test_plots_say_what_a_job_was_trained_on(open_page, toy_survey_dir):
    folder, nameless = _finished(settings={"survey": str(toy_survey_dir)}), _finished("nameless")
    for panel in ("loss", "spectra"):
        assert "SIMULATED" in _plot_notes(open_page("train", job=folder.id, panel=panel))
        assert "SIMULATED" not in _plot_notes(open_page("train", job=nameless.id, panel=panel))
    assert "SIMULATED" in _plot_notes(open_page("train", compare=f"{folder.id},{folder.id}"))
    assert "SIMULATED" not in _plot_notes(open_page("train", compare=f"{folder.id},{nameless.id}"))


def test_a_failure_has_its_cause_and_traceback(open_page):
    folder = _job("raise OSError(28, 'No space left on device')")
    wait_for_state(folder, State.FAILED)
    at = open_page("train", job=folder.id)
    assert any("disk full" in error.value for error in at.error)
    assert any("Traceback" in block.value for block in at.code)
    at = open_page("train")
    assert "disk full" in at.dataframe[0].value["note"].tolist()


def test_the_list_shows_states_as_words_with_a_sign(open_page):
    _finished("one")
    failed = _job("1 / 0", name="two")
    wait_for_state(failed, State.FAILED)
    at = open_page("train")
    table = at.dataframe[0].value
    assert sorted(table["state"]) == ["✓ finished", "✗ failed"]
    assert "disk full" not in table["note"].tolist()


def test_a_ticked_job_keeps_its_tick_when_a_new_one_comes_above_it(open_page):
    old = _finished("a-old")  # of the same second the later name comes first
    at = open_page("train")
    at.session_state["train_chosen"] = (old.id,)
    new = _finished("b-new")
    at.run()
    assert at.dataframe[0].value["id"].tolist() == [new.id, old.id]
    assert "1 chosen" in _texts(at)
    at.button(key="train_open").click().run()
    assert _first(at, "job") == old.id


def test_a_network_and_a_vae_are_not_compared_without_a_word(open_page):
    first, second = _finished("one"), _finished("two")
    assert "do not compare" not in _texts(open_page("train", compare=f"{first.id},{second.id}"))
    second.write("job.json", second.read("job.json") | {"argv": ["train", "vae"]})
    assert "do not compare" in _texts(open_page("train", compare=f"{first.id},{second.id}"))


def test_a_comparison_shows_differences_only(open_page):
    first, second = _finished("one", {"max_lr": 0.01, "seed": 1}), _finished("two", {"max_lr": 0.02, "seed": 1})
    at = open_page("train", compare=f"{first.id},{second.id}")
    table = at.dataframe[0].value
    assert table["setting"].tolist() == ["max_lr"]
    assert table[["one", "two"]].to_numpy().tolist() == [["0.01", "0.02"]]
    at.toggle(key="train_diff_only").set_value(False).run()
    assert len(at.dataframe[0].value) > len(CNN)
    assert at.dataframe[1].value["best valid error"].tolist() == [0.1, 0.1]


def test_clone_fills_the_form(open_page):
    folder = _finished(settings={"model": "simple-deconv", "max_lr": 0.02, "max_galaxies": 40})
    at = open_page("train", job=folder.id)
    at.button(key="train_clone").click().run()
    assert at.selectbox(key="train_field_cnn_model").value == "simple-deconv"
    assert at.number_input(key="train_field_cnn_max_lr").value == 0.02
    assert at.number_input(key="train_max").value == 40
    assert f"A copy of {folder.id}" in _texts(at)


def test_what_the_form_cannot_copy_is_said(open_page):
    settings = {"model": "simple-cnn", "batch_size": 16384, "start": "/models/x", "seed": "7", "samples": 3}
    folder = _finished(settings=settings)
    at = open_page("train", job=folder.id)
    at.button(key="train_clone").click().run()
    assert not at.exception
    warning = next(element.value for element in at.warning if "Not copied" in element.value)
    for piece in ("batch_size = 16384", "start = /models/x", "seed = 7", f"jobs clone {folder.id}"):
        assert piece in warning
    assert "samples" not in warning
    assert at.number_input(key="train_field_cnn_batch_size").value == 128


def test_a_model_is_used_in_the_app_and_taken_back(open_page, monkeypatch, toy_model_dirs):
    from galspec.ui.model_card import model_dir

    monkeypatch.delenv("GALSPEC_MODEL")
    folder = _finished(bundle=toy_model_dirs[1])
    at = open_page("train", job=folder.id)
    at.button(key="train_promote").click().run()
    assert "uses this model now" in _texts(at)
    assert model_dir().parent.name == folder.id
    at.button(key="train_demote").click().run()
    assert model_dir() == shipped_weights_dir() / "xresnet18-hybrid"


def test_a_job_is_deleted_only_with_its_name_typed(open_page):
    folder = _finished("gone")
    at = open_page("train", job=folder.id)
    assert at.button(key="train_delete").disabled
    at.text_input(key="train_delete_word").set_value("gone").run()
    at.button(key="train_delete").click().run()
    assert not folder.path.exists()
    assert "No jobs yet" in _texts(at)


def test_a_press_with_another_name_typed_meanwhile_deletes_nothing(open_page):
    folder = _finished("stays")
    at = open_page("train", job=folder.id)
    at.text_input(key="train_delete_word").set_value("stays").run()
    at.text_input(key="train_delete_word").set_value("another")
    at.button(key="train_delete").click().run()
    assert folder.path.exists()
    assert "not deleted" in at.error[0].value


def test_two_pages_press_stop(open_page):
    folder = _job(TRAINING, "5000")
    wait_for_state(folder, State.RUNNING)
    first, second = open_page("train", job=folder.id), open_page("train", job=folder.id)
    first.button(key="train_stop").click().run()
    second.button(key="train_stop").click().run()
    assert not second.exception
    assert not second.error
    wait_for_state(folder, State.CANCELLED)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"job": "../x"}, "is no job's id"),
        ({"job": "20260101-000000-x-0000"}, "there is no job"),
        ({"new": "rocket"}, "is none of"),
        ({"compare": "../a,b"}, "is cut to"),
        ({"compare": "a,b"}, "there is no job"),
        ({"new": "smoke", "panel": "x"}, "panel"),
    ],
)
def test_bad_addresses_are_said(open_page, query, words):
    assert words in _texts(open_page("train", **query))


def test_a_damaged_job_hides_no_other(open_page):
    good, bad = _finished("good"), _finished("bad")
    bad.write("job.json", bad.read("job.json") | {"version": 7})
    at = open_page("train")
    assert at.dataframe[0].value["name"].tolist() == ["good"]
    assert any("another galspec" in warning.value for warning in at.warning)
    assert "another galspec" in _texts(open_page("train", job=bad.id))
    assert look(good).state is State.FINISHED


def test_a_simulation_without_basis_is_refused(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("GALSPEC_CACHE", str(tmp_path))
    at = open_page("train", new="smoke")
    at.button(key="train_simulate").click().run()
    assert any("spectral basis is missing" in error.value for error in at.error)
    at.button(key="train_predict").click().run()
    assert any("outside the workspace" in error.value for error in at.error)
    assert all_folders() == []


def test_an_estimate_is_measured_beside_the_page(open_page, monkeypatch):
    from galspec.ui import train_estimate

    answer = {"seconds": 90.0, "low": 80.0, "high": 100.0, "memory_gb": 1.5, "n_steps": 9, "step_s": 0.4}
    answer |= {"n_train": 42, "n_valid": 6, "device": "cpu"}
    asked = []

    def fake(command, **_options):
        asked.append(command)
        return type("Done", (), {"returncode": 0, "stdout": json.dumps(answer) + "\n", "stderr": ""})()

    monkeypatch.setattr(train_estimate.subprocess, "run", fake)
    monkeypatch.setattr(train_estimate, "_TRIALS", {})
    at = open_page("train", new="paper10")
    at.button(key="train_estimate").click().run()
    end = time.monotonic() + 30
    while not asked and time.monotonic() < end:
        time.sleep(0.05)
    at.run()
    assert "About 1 min 30 s" in _texts(at)
    assert "1 min 20 s to 1 min 40 s" in _texts(at)
    assert asked[0][2:6] == ["galspec", "jobs", "estimate", "--json"]
    assert "--out" not in asked[0]


def test_a_sleeping_job_shows_its_page(open_page):
    folder = _job(SLEEP)
    wait_for_state(folder, State.RUNNING)
    at = open_page("train", job=folder.id)
    assert at.button_group(key="train_panel").value == "log"  # no training, no curves
    assert "updated" in _texts(at)
    at.toggle(key="train_paused").set_value(True).run()
    assert "(paused)" in _texts(at)
    engine.stop(folder)
    wait_for_state(folder, State.CANCELLED)

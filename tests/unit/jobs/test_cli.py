"""`python -m galspec jobs`: every action, by the command line; one real training of the smallest network."""

import json
from pathlib import Path

import pytest

from galspec.cli.jobs import request_of
from galspec.cli.main import main
from galspec.core.errors import JobError
from galspec.core.home import home_dir
from galspec.jobs.engine import submit
from galspec.jobs.folder import find_job
from galspec.jobs.job import Resources
from galspec.jobs.state import State
from tests.toy_survey import write_toy_models, write_toy_survey
from tests.unit.jobs.conftest import TRAINING, processes_of, wait_for_state, wait_until


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("toys")
    survey = write_toy_survey(folder / "toy", n_galaxies=60)
    return survey, write_toy_models(folder / "models")[0]


def _train_words(toys: tuple[Path, Path], *more: str) -> list[str]:
    survey, vae = toys
    words = ["train", "cnn", "--survey", str(survey), "--vae", str(vae), "--model", "simple-cnn", "--batch-size", "8"]
    return [*words, "--threads", "1", *more]


@pytest.mark.slow
def test_a_real_training_is_submitted_watched_stopped_resumed_and_finished(toys, capsys):
    # Enough epochs that the stop comes before the end on a fast machine; then resumed, stopped again, copied, deleted.
    words = _train_words(toys, "--epochs", "400", "--samples", "6")
    assert main(["jobs", "submit", "--name", "smoke", "--device", "cpu", "--json", "--", *words]) == 0
    job_id = json.loads(capsys.readouterr().out)["id"]
    folder = find_job(job_id)
    wait_until(lambda: folder.metrics.exists() and '"epoch", "epoch": 2' in folder.metrics.read_text(), "two epochs")
    assert main(["jobs", "stop", job_id, "--wait"]) == 0
    assert wait_for_state(folder, State.CANCELLED).last["step"] >= 2
    assert folder.read("exit.json")["state"] == "stopped"
    done = folder.read("checkpoint/numbers.json")["at"]["epoch"]
    assert done >= 2
    assert main(["jobs", "resume", job_id[:-1]]) == 0
    wait_until(lambda: f'"epoch", "epoch": {done + 2}' in folder.metrics.read_text(), "two more epochs")
    assert main(["jobs", "stop", job_id, "--wait"]) == 0
    epochs = [
        row["epoch"] for row in map(json.loads, folder.metrics.read_text().splitlines()) if row["kind"] == "epoch"
    ]
    assert epochs == list(range(1, len(epochs) + 1))
    assert "continues in epoch" in folder.log.read_text()
    samples = [row for row in map(json.loads, folder.metrics.read_text().splitlines()) if row["kind"] == "samples"]
    assert [row["epoch"] for row in samples][: len(epochs)] == epochs[: len(samples)]
    assert samples[0]["ids"] == samples[-1]["ids"]  # the same galaxies
    assert samples[0]["latents"] != samples[-1]["latents"]
    assert samples[0]["targets"] == samples[-1]["targets"]
    wait_until(lambda: not processes_of(home_dir()), "the end of all processes")


def test_list_show_logs_and_rm(capsys):
    import sys

    folder = submit("fake", ("{run}", "3"), Resources(device="cpu"), {"a": 1}, program=(sys.executable, "-c", TRAINING))
    wait_for_state(folder, State.FINISHED)
    assert main(["jobs", "list"]) == 0
    assert f"{folder.id}  finished" in capsys.readouterr().out
    assert main(["jobs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "finished"
    assert main(["jobs", "show", folder.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"a": 1}
    assert main(["jobs", "show", folder.id]) == 0
    assert f"{folder.id}: finished" in capsys.readouterr().out
    assert main(["jobs", "logs", "-f", folder.id]) == 0
    assert "training from 0" in capsys.readouterr().out
    assert main(["jobs", "resume", folder.id]) == 2
    assert main(["jobs", "clone", folder.id, "--name", "copy"]) == 0
    copy = find_job(capsys.readouterr().out.strip())
    wait_for_state(copy, State.FINISHED)
    assert main(["jobs", "rm", folder.id]) == 0
    assert not folder.path.exists()
    assert main(["jobs", "show", folder.id]) == 2
    assert "there is no job" in capsys.readouterr().err


def test_a_failed_job_says_why(capsys):
    import sys

    folder = submit("fake", ("x",), Resources(device="cpu"), program=(sys.executable, "-c", "1 / 0"))
    wait_for_state(folder, State.FAILED)
    assert main(["jobs", "show", folder.id]) == 0
    out = capsys.readouterr().out
    assert "cause: ZeroDivisionError: division by zero." in out
    assert "Traceback (most recent call last)" in out


def test_submit_shows_the_command_and_the_batch_script(toys, capsys):
    assert main(["jobs", "submit", "--show", "--device", "cpu", "--", *_train_words(toys)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("python -m galspec train cnn --survey ")
    assert "--device cpu" in out
    words = [
        "--backend",
        "slurm",
        "--partition",
        "gpu",
        "--gres",
        "gpu:2",
        "--processes",
        "2",
        "--",
        *_train_words(toys),
    ]
    assert main(["jobs", "submit", "--show", *words]) == 0
    out = capsys.readouterr().out
    assert "#SBATCH --partition=gpu\n" in out
    assert not list(home_dir().glob("runs/2*"))


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["app"], "command"),
        ([], "command"),
        (["train", "cnn", "--survey", "/no/such"], "survey"),
        (["train", "cnn", "--survey", "{survey}", "--out", "x"], "out"),
        (["train", "cnn", "--survey", "{survey}", "--vae", "/no/such"], "vae"),
        (["train", "cnn", "--survey={survey}", "--config", "/no/such.toml"], "config"),
        (["simulate", "--n", "3"], "out"),
        (["simulate", "--n", "3", "--out", "/etc/survey"], "out"),
        (["simulate", "--n", "3", "--out", "../../survey"], "out"),
        (["simulate", "--n", "3", "--out", "."], "out"),
        (["train", "cnn", "--survey", "~no-such-user/x"], "survey"),
        (["train", "cnn", "--survey", "x" * 5000], "survey"),
        (["train", "cnn", "--survey", "{survey}", "--ou", "x"], "out"),
        (["predict", "--survey", "{survey}", "--out", "../../../x.parquet"], "out"),
    ],
)
def test_what_is_missing_or_leads_out_is_refused_and_named(toys, words, field):
    with pytest.raises(JobError) as caught:
        request_of([word.replace("{survey}", str(toys[0])) for word in words])
    assert caught.value.field == field


def test_what_several_processes_cannot_share_is_refused(toys, capsys):
    words = ["jobs", "submit", "--device", "cpu", "--processes", "3", "--show", "--"]
    assert main([*words, *_train_words(toys)]) == 2
    assert "batch_size: 8 for all 3 processes" in capsys.readouterr().err
    assert main([*words, *_train_words(toys, "--compile", "--batch-size", "9")]) == 2
    assert "compile" in capsys.readouterr().err
    assert main([*words, *_train_words(toys, "--batch-size", "9")]) == 0
    assert "torch.distributed.run" in capsys.readouterr().out


def test_a_request_has_absolute_paths_and_keeps_its_settings(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(toys[0].parent)
    (tmp_path / "mine.toml").write_text("[cnn]\nmax_lr = 0.01\nseed = 3\n")
    request = request_of(["train", "cnn", "--survey", "toy", "--config", str(tmp_path / "mine.toml"), "--seed", "4"])
    assert request.argv[3] == str(toys[0])
    assert request.argv[-4:] == ("--seed", "4", "--out", "{run}")
    assert "{run}/settings.toml" in request.argv
    assert request.files["settings.toml"].startswith("[cnn]")
    assert (request.settings["max_lr"], request.settings["seed"]) == (0.01, 4)


@pytest.mark.parametrize("written", ["./{name}/", "{name}", "../here/{name}"])
@pytest.mark.parametrize("name", ["train", "cnn", "5", "a survey"])
def test_a_path_is_what_stands_behind_its_option_however_it_is_written(toys, tmp_path, monkeypatch, name, written):
    folder = tmp_path / "here" / name
    folder.mkdir(parents=True)
    (folder / "survey.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "here")
    path = written.format(name=name)
    request = request_of(["train", "cnn", "--surv", path, "--max-galaxies", "5", "--model", "simple-cnn"])
    words = ("train", "cnn", "--surv", str(folder), "--max-galaxies", "5", "--model", "simple-cnn", "--out", "{run}")
    assert request.argv == words


def test_an_option_that_begins_like_a_path_s_is_none(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["predict", "--images", "g.fits", "r i.fits", "--mode", "fast", "--dec", "-3", "--out", "x.fits"]
    request = request_of(words)
    assert request.argv[:7] == (
        "predict",
        "--images",
        f"{tmp_path}/g.fits",
        f"{tmp_path}/r i.fits",
        *words[4:6],
        "--dec",
    )
    assert request.argv[7:] == ("-3", "--out", str(home_dir() / "predictions" / "x.fits"))


def test_nought_and_no_are_settings_that_a_copy_must_have(toys):
    words = ["--seed", "0", "--no-self-attention", "--early-stopping", "0", "--max-galaxies", "0", "--epochs", "2"]
    settings = request_of(["train", "cnn", "--survey", str(toys[0]), *words]).settings
    assert settings == {
        "survey": str(toys[0]),
        "seed": 0,
        "self_attention": False,
        "early_stopping": 0,
        "epochs": 2,
    }


def test_a_simulation_is_made_in_the_workspace():
    request = request_of(["simulate", "--n", "3", "--out", "mine"])
    assert request.argv[-1] == str(home_dir() / "surveys" / "mine")


@pytest.mark.slow
def test_a_prediction_runs_on_the_same_engine(toys, capsys):
    import shutil

    survey = shutil.copytree(toys[0], home_dir() / "surveys" / "toy")
    model = toys[1].parent / "toy-cnn"
    words = ["predict", "--survey", str(survey), "--model", str(model), "--backend", "eager"]
    assert main(["jobs", "submit", "--device", "cpu", "--", *words]) == 0
    folder = find_job(capsys.readouterr().out.strip())
    wait_for_state(folder, State.FINISHED)
    assert (survey / "predictions" / "toy-cnn.parquet").is_file()


@pytest.mark.slow
def test_a_simulation_runs_on_the_same_engine(basis, capsys):
    assert main(["jobs", "submit", "--", "simulate", "--n", "2", "--out", "two", "--jobs", "1", "--no-images"]) == 0
    folder = find_job(capsys.readouterr().out.strip())
    assert folder.job().resources.device == "cpu"
    wait_for_state(folder, State.FINISHED)
    assert (home_dir() / "surveys" / "two" / "survey.json").is_file()


@pytest.mark.parametrize("what", ["cnn", "vae"])
def test_an_estimate_comes_from_at_least_two_steps(toys, capsys, what):
    words = _train_words(toys) if what == "cnn" else ["train", "vae", "--survey", str(toys[0]), "--epochs", "7"]
    assert main(["jobs", "estimate", "--seconds", "0.01", "--json", "--", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_steps"] >= 2
    assert found["low"] <= found["seconds"] <= found["high"]
    assert found["n_train"] + found["n_valid"] <= 60
    assert found["memory_gb"] > 0


def test_a_model_is_promoted_and_taken_back(toys, capsys):
    import shutil
    import sys

    from galspec.core.home import shipped_weights_dir
    from galspec.jobs.promote import promoted_dir, read_promotions
    from galspec.ui.model_card import model_dir, read_model_card

    vae = toys[1]
    predictor = vae.parent / "toy-cnn"
    script = "import shutil, sys; shutil.copytree(sys.argv[2], sys.argv[1] + '/bundle')"
    folders = []
    for number in range(2):
        program = (sys.executable, "-c", script)
        settings = {"vae": str(vae), "seed": number}
        folders.append(
            submit(f"m{number}", ("{run}", str(predictor)), Resources(device="cpu"), settings, program=program)
        )
        wait_for_state(folders[-1], State.FINISHED)
    shipped = shipped_weights_dir() / "xresnet18-hybrid"
    assert model_dir() == shipped
    for folder in folders:
        assert main(["jobs", "promote", folder.id]) == 0
    assert promoted_dir().parent.name == folders[1].id
    entry = read_promotions()[-1]
    assert entry["settings"]["seed"] == 1
    assert entry["sha256"] == json.loads((predictor / "model.json").read_text())["sha256"]
    card = read_model_card(model_dir())
    assert card.vae_folders()[0].is_dir()  # its own VAE lies beside it
    assert main(["jobs", "rm", folders[1].id]) == 0
    assert model_dir() == promoted_dir()  # a copy
    assert main(["jobs", "promote", "--back"]) == 0
    assert model_dir().parent.name == folders[0].id
    shutil.rmtree(model_dir())
    assert model_dir() == shipped  # deleted by hand: the shipped one again
    assert main(["jobs", "promote", "--back"]) == 0
    assert main(["jobs", "promote", "--back"]) == 2
    assert "nothing is promoted" in capsys.readouterr().err


def test_a_promotion_cut_short_is_whole_the_next_time_and_names_cannot_lead_out(toys, monkeypatch):
    import shutil
    import sys

    from galspec.jobs.promote import models_dir, promote, promoted_dir

    script = "import shutil, sys; shutil.copytree(sys.argv[2], sys.argv[1] + '/bundle')"
    predictor = toys[1].parent / "toy-cnn"
    settings = {"vae": str(toys[1])}
    program = (sys.executable, "-c", script)
    folder = submit("m", ("{run}", str(predictor)), Resources(device="cpu"), settings, program=program)
    wait_for_state(folder, State.FINISHED)
    real = shutil.copytree
    for calls_that_work in (0, 1):
        calls = []

        def full_disk(source, target, allowed=calls_that_work, calls=calls):
            calls.append(source)
            if len(calls) > allowed:
                raise OSError(28, "No space left on device")
            return real(source, target)

        monkeypatch.setattr(shutil, "copytree", full_disk)
        with pytest.raises(JobError, match="No space left"):
            promote(folder)
        assert promoted_dir() is None
    monkeypatch.setattr(shutil, "copytree", real)
    promote(folder)
    names = {path.name for path in promoted_dir().parent.iterdir()}
    assert names == {"toy-cnn", json.loads((predictor / "model.json").read_text())["vae_name"]}
    info = json.loads((folder.bundle / "model.json").read_text())
    for wrong in ({"name": "../../x"}, {"vae_name": "../x"}, {"name": ".."}):
        (folder.bundle / "model.json").write_text(json.dumps(info | wrong))
        with pytest.raises(JobError, match="cannot be those of folders"):
            promote(folder)
    assert sorted(path.name for path in models_dir().iterdir()) == sorted([folder.id, "app.json"])


def test_what_is_no_predictor_is_not_promoted(toys, capsys):
    import sys

    script = "import shutil, sys; shutil.copytree(sys.argv[2], sys.argv[1] + '/bundle')"
    program = (sys.executable, "-c", script)
    folder = submit("vae", ("{run}", str(toys[1])), Resources(device="cpu"), program=program)
    wait_for_state(folder, State.FINISHED)
    assert main(["jobs", "promote", folder.id]) == 2
    assert "VAE cannot take its place" in capsys.readouterr().err
    (folder.bundle / "model.json").unlink()
    assert main(["jobs", "promote", folder.id]) == 2
    assert "no model yet" in capsys.readouterr().err

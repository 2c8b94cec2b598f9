import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from galspec.core.errors import ConfigError, SimulationError
from galspec.core.home import REPOSITORY_DIR
from galspec.models.bundle import VaeBundle, load_predictor_bundle
from galspec.models.catalog import TRAINABLE_PARAMETERS
from galspec.simulation.basis import load_basis
from galspec.training.cnn import train_cnn
from galspec.training.config import ABLATIONS, CnnConfig
from galspec.training.data import TrainingSet
from galspec.training.queue import (
    Queue,
    QueueItem,
    QueuePlan,
    bring_home,
    collect,
    finished_items,
    load_plan,
    seconds_needed,
    write_results,
)
from galspec.training.queue_survey import QueueSurvey

PLAN = """
[survey]
n_galaxies = 40
seed = 1
[common]
batch_size = 8
precision = "fp32"
[[item]]
name = "one"
model = "simple-cnn"
n_epochs = 1
[[item]]
name = "two"
model = "simple-deconv"
n_epochs = 1
"""

#: What a bare GPU machine lacks. As sitecustomize it holds in worker processes too.
BLOCKER = """
import sys
class Blocker:
    names = {"astropy", "zarr", "streamlit", "plotly", "captum", "PIL", "bagpipes", "sedpy", "galsim", "specutils"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked: it is not on a bare GPU machine")
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Environment of a machine with torch, numpy, scipy, pandas, pyarrow, safetensors and tqdm alone."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "plan.toml").write_text(PLAN)
    path = os.pathsep.join([str(site), str(REPOSITORY_DIR)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def gpu_queue(action: str, folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "galspec", "gpu-queue", action, *words]
    if action != "collect":
        command += ["--work", str(folder / "work")]
    command += ["--out", str(folder / "out"), "--results", str(folder / "results.json")]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_queue_needs_nothing_that_a_bare_machine_lacks(bare: dict[str, str], vae_dir: Path, tmp_path: Path):
    environment = {**bare, "GALSPEC_CACHE": str(tmp_path / "no-basis-here")}
    words = ("--device", "cpu", "--jobs", "1", "--plan", str(tmp_path / "plan.toml"), "--vae", str(vae_dir))
    ended = gpu_queue("run", tmp_path, environment, *words)
    assert "ImportError" not in ended.stderr
    assert ended.returncode == 2
    assert "make simulate" in ended.stderr


def test_blocker_blocks(bare: dict[str, str]):
    ended = subprocess.run(
        [sys.executable, "-c", "import zarr"], env=bare, capture_output=True, text=True, timeout=60, check=False
    )
    assert "blocked" in ended.stderr


@pytest.mark.slow
def test_detached_queue_trains_is_polled_and_continues(bare: dict[str, str], vae_dir: Path, tmp_path: Path):
    try:
        load_basis()
    except SimulationError:
        pytest.skip("no spectral basis (make simulate)")
    words = ("--device", "cpu", "--jobs", "1", "--plan", str(tmp_path / "plan.toml"), "--vae", str(vae_dir))
    started = time.monotonic()
    assert gpu_queue("start", tmp_path, bare, *words).returncode == 0
    assert time.monotonic() - started < 20
    home = {**bare, "OUT": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    for _ in range(60):
        ended = gpu_queue("status", tmp_path, home, "--wait", "5")
        state = json.loads(ended.stdout.splitlines()[0])
        if not state["running"]:
            break
    assert state["finished"] == ["one", "two"], ended.stdout
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"one", "two", "results.json"}
    assert {path.name for path in (tmp_path / "home" / "one").iterdir()} == {"model.json", "weights.safetensors"}
    again = gpu_queue("run", tmp_path, bare, *words)
    assert again.returncode == 0
    assert "0 of 2 items to do" in again.stdout
    survey = json.loads((tmp_path / "results.json").read_text())["items"]["one"]["training_survey"]
    assert survey["name"] == "sim1"
    assert sum(survey["splits"].values()) == 40


def test_no_gpu_is_said(bare: dict[str, str], vae_dir: Path, tmp_path: Path):
    words = ("--jobs", "1", "--plan", str(tmp_path / "plan.toml"), "--vae", str(vae_dir))
    ended = gpu_queue("run", tmp_path, {**bare, "CUDA_VISIBLE_DEVICES": ""}, *words)
    assert ended.returncode == 2
    assert "no GPU" in ended.stderr


def test_shipped_plan_starts_with_the_hybrid():
    plan = load_plan()
    first = plan.items[0].config
    assert (first.model, first.n_epochs, plan.survey.n_galaxies) == ("xresnet18-hybrid", 50, 64000)
    assert {item.config.model for item in plan.items} == set(TRAINABLE_PARAMETERS)


def test_gpu_plan_has_the_order_of_the_issue_and_all_ablations():
    items = load_plan().items
    runs = [(item.config.model, item.config.n_epochs) for item in items]
    assert runs[:2] == [("xresnet18-hybrid", 50), ("xresnet18", 50)]
    assert {model for model, n in runs[2:7] if n == 10} == set(TRAINABLE_PARAMETERS)
    for model in ("xresnet18-hybrid", "xresnet18", "xresnet18-deconv"):
        assert (
            len({item.config.seed for item in items if item.config.model == model and item.config.n_epochs == 10}) == 3
        )
    is_ablation = [item.config.identity.keys() != CnnConfig().identity.keys() for item in items]
    first = is_ablation.index(True)
    assert runs.index(("xresnet18-deconv", 50)) < first
    settings = {name for item in items for name in item.config.identity.keys() - CnnConfig().identity.keys()}
    assert settings == set(ABLATIONS)


def test_cpu_plan_is_small_and_turns_passes_into_epochs():
    plan = load_plan(REPOSITORY_DIR / "configs" / "cpu_table1.toml")
    assert plan.survey.n_galaxies == 16000
    assert {item.config.model for item in plan.items} == set(TRAINABLE_PARAMETERS)
    for item in plan.items:
        assert item.config_for(11_200).n_epochs == (10 if item.config.model.startswith("simple") else 4)


def test_a_plan_is_trained_on_an_existing_survey(
    bright_set: TrainingSet, vae_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[object] = []

    def training_set(survey: str, _vae: VaeBundle, n: int, **_: object) -> TrainingSet:
        asked.append((survey, n))
        return bright_set

    monkeypatch.setattr("galspec.store.survey.open_survey", lambda folder: f"opened {folder}")
    monkeypatch.setattr("galspec.training.survey_set.training_set", training_set)
    config = CnnConfig(model="simple-cnn", batch_size=16, precision="fp32", num_threads=1)
    items = (
        QueueItem("plain", config, passes=100),
        QueueItem("grey", dataclasses.replace(config, n_epochs=1, image_form="grey")),
    )
    queue = Queue(
        plan=QueuePlan(QueueSurvey(n_galaxies=120), items),
        work_dir=tmp_path / "work",
        out_dir=tmp_path / "out",
        results=tmp_path / "results.json",
        device="cpu",
        n_jobs=1,
        report=lambda _line: None,
        vae_dir=vae_dir,
        survey_dir=tmp_path / "survey",
    )
    queue.run()
    assert asked == [(f"opened {tmp_path / 'survey'}", 120)]
    entries = finished_items(tmp_path / "out", tmp_path / "results.json")
    assert entries["plain"]["scores"]["passes"] == 2 * 80
    assert load_predictor_bundle(tmp_path / "out" / "grey").image_scaler.form == "grey"
    assert load_predictor_bundle(tmp_path / "out" / "plain").image_scaler.form == "full"


def test_weights_that_are_too_large_stay_behind_and_the_scores_come_home(
    bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = CnnConfig(model="simple-cnn", n_epochs=1, batch_size=16, precision="fp32")
    train_cnn(bright_set, vae, config, tmp_path / "run", name="a")
    shutil.copytree(tmp_path / "run" / "bundle", tmp_path / "out" / "a")
    monkeypatch.setattr("galspec.training.queue.MAX_FILE_BYTES", 100_000)
    (tmp_path / "home").mkdir()
    assert bring_home(tmp_path / "out", tmp_path / "home", tmp_path / "none.json", tmp_path / "seen.json") == ["a"]
    assert [path.name for path in (tmp_path / "home" / "a").iterdir()] == ["model.json"]
    assert collect(tmp_path / "home", tmp_path / "mine", tmp_path / "mine.json") == ["a"]
    assert finished_items(tmp_path / "mine", tmp_path / "mine.json")["a"]["scores"]["valid_mse"] > 0


def test_wrong_plans_are_refused(tmp_path: Path):
    path = tmp_path / "plan.toml"
    for text, message in [
        ('[[item]]\nmodel = "simple-cnn"\n', "needs a name"),
        ('[[item]]\nname = "a"\n[[item]]\nname = "a"\n', "of its own"),
        ('[[item]]\nname = "a"\nepochs = 1\n', "unknown setting"),
        ("[items]\n", "unknown table"),
        ('[[item]]\nname = "a"\nn_epochs = 2\npasses = 10\n', "in place of n_epochs"),
        ('[[item]]\nname = "a"\npasses = "all"\n', "must be a positive number"),
        ("[survey]\nn_galaxies = 1\n", "at least 2 galaxies"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_plan(path)


def test_results_come_home_in_portions_and_are_collected(bright_set: TrainingSet, vae: VaeBundle, tmp_path: Path):
    config = CnnConfig(model="simple-cnn", n_epochs=1, batch_size=16, precision="fp32")
    bundle = train_cnn(bright_set, vae, config, tmp_path / "run", name="a")
    out, results = tmp_path / "out", tmp_path / "results.json"
    for name in "abcd":
        (out / name).mkdir(parents=True)
        for path in bundle.iterdir():
            (out / name / path.name).write_bytes(path.read_bytes())
    write_results(out, results)
    seen = tmp_path / "seen.json"
    (tmp_path / "home").mkdir()
    first = bring_home(out, tmp_path / "home", results, seen)
    second = bring_home(out, tmp_path / "home", results, seen)
    assert (len(first), len(second), len(bring_home(out, tmp_path / "home", results, seen))) == (3, 1, 0)
    assert collect(tmp_path / "home", tmp_path / "mine", tmp_path / "mine.json") == list("abcd")
    entries = finished_items(tmp_path / "mine", tmp_path / "mine.json")
    assert list(entries) == list("abcd")
    assert entries["a"]["scores"]["valid_mse"] > 0
    assert load_predictor_bundle(tmp_path / "mine" / "b", vae).info["architecture"] == "simple-cnn"


def test_time_is_estimated_from_finished_items():
    assert seconds_needed(CnnConfig(n_epochs=2), 100, {}) is None
    finished = {
        "a": {"architecture": "xresnet18", "scores": {"passes": 1000, "train_seconds": 10.0}},
        "b": {"architecture": "simple-cnn", "scores": {"passes": 9000, "train_seconds": 10.0}},
    }
    assert seconds_needed(CnnConfig(model="xresnet18", n_epochs=2), 500, finished) == pytest.approx(10.0)
    assert seconds_needed(CnnConfig(model="xresnet18-hybrid", n_epochs=1), 500, finished) == pytest.approx(5.0)

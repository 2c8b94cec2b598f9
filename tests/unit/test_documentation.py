"""README and docs: every number comes from a stored result, every link and command exists."""

import json
import re
from pathlib import Path

import pytest

from galspec.cli.main import VERBS
from galspec.core.home import shipped_weights_dir

REPOSITORY_DIR = Path(__file__).resolve().parents[2]
README = (REPOSITORY_DIR / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY_DIR / "README.md", *sorted((REPOSITORY_DIR / "docs").rglob("*.md"))]


def _scores(name: str) -> dict[str, float]:
    return json.loads((shipped_weights_dir() / name / "model.json").read_text())["scores"]


def test_readme_gives_the_stored_scores_of_the_vae():
    scores = _scores("vae6")
    for name in ("valid_chi2_vae", "valid_chi2_pca6", "valid_chi2_pca10"):
        assert f"{scores[name]:.2f}" in README, name
    assert f"{scores['n_valid']:,} valid spectra" in README


def test_readme_gives_the_stored_scores_of_the_hybrid():
    scores = _scores("xresnet18-hybrid")
    assert f"{scores['valid_mse']:.3f} (RMSE {scores['valid_rmse']:.3f}" in README
    assert f"{scores['valid_n']:,} valid galaxies" in README
    assert f"{scores['passes']:,} images" in README


def test_training_range_holds_the_near_galaxies_users_bring():
    # NGC 6928: z = 0.0157, r = 12.07 inside the cutout.
    ranges = json.loads((shipped_weights_dir() / "xresnet18-hybrid" / "model.json").read_text())["training_survey"][
        "ranges"
    ]
    assert ranges["redshift"][0] < 0.0157 < ranges["redshift"][1]
    assert ranges["mag_r"][0] < 12.07 < ranges["mag_r"][1]


def test_docs_give_the_stored_realism():
    report = json.loads((REPOSITORY_DIR / "docs" / "results" / "realism.json").read_text())
    text = (REPOSITORY_DIR / "docs" / "simulation.md").read_text()
    for stage in report["stages"]:
        ratio = stage["spectra"]["ratio"]
        assert f"| {stage['label']} | {ratio['residual']:.3f} | {ratio['chi2']:.3f} |" in text, stage["label"]
    newest = report["stages"][-1]
    assert all(newest["pass"].values())
    assert newest["spectra"]["ratio"]["chi2"] <= report["chi2_goal"]
    assert all(row["inside"] >= 0.9 for row in newest["images"]["noise"]["rms"].values())
    assert all(row["pass"] for row in newest["images"]["noise"]["correlation"].values())


def test_docs_give_the_stored_learnability():
    ledger = json.loads((REPOSITORY_DIR / "docs" / "results" / "learnability.json").read_text())
    text = (REPOSITORY_DIR / "docs" / "simulation.md").read_text()
    for stage in ledger["stages"]:
        for name in ("colours", "annuli", "network"):
            assert f"{stage['results'][name]['mse']:.3f}" in text, (stage["label"], name)


def test_readme_gives_the_stored_results_on_real_files():
    result = json.loads((REPOSITORY_DIR / "docs" / "results" / "real_files.json").read_text())
    medians = result["median_of_usual"]
    assert f"{medians['chi2_vae']:.2f} (six principal components {medians['chi2_pca6']:.2f})" in README
    assert f"{result['n_usual']} SDSS spectra" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_commands_of_the_readme_exist():
    verbs = set(re.findall(r"python -m galspec ([a-z][a-z0-9-]*)", README))
    assert verbs
    assert verbs <= VERBS.keys()
    makefile = (REPOSITORY_DIR / "Makefile").read_text()
    for target in set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_readme_never_tells_to_install_from_pypi():
    assert "pip install galspec" not in README


def test_tests_named_in_the_paper_map_exist():
    text = (REPOSITORY_DIR / "docs" / "paper_map.md").read_text()
    named = set(re.findall(r"tests/[a-z_/]+\.py", text))
    assert named
    assert not [name for name in named if not (REPOSITORY_DIR / name).is_file()]

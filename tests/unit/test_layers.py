"""The shape of the code base: one-way imports, size budgets, no banned names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY_DIR = Path(__file__).resolve().parents[2]
MODULES = sorted((REPOSITORY_DIR / "galspec").rglob("*.py"))
PAGES = sorted((REPOSITORY_DIR / "pages").glob("*.py"))


def test_imports_go_one_way():
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY_DIR, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY_DIR)))
def test_a_module_fits_its_budget(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
    assert path.stem not in {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_thin(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def test_a_light_import_stays_light():
    heavy = ["torch", "streamlit", "astropy", "plotly", "pandas"]
    code = f"import sys, galspec, galspec.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY_DIR)
    assert done.stdout.strip() == "[]"

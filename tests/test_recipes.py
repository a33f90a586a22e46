"""Recipes find the files beside them: each folder is a model, and its scripts import only what is there."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[1] / 'recipes'
FETCHED_BY_HAND = {'lemminflect'}
"""Packages that a recipe asks for in its own words, and no extra brings."""


@pytest.mark.parametrize(
    'folder', sorted(path for path in RECIPES.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_a_recipe_imports_its_own_files_and_packages_that_are_there(folder):
    names = set()
    for path in folder.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split('.')[0])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
    beside = {path.stem for path in folder.glob('*.py')}
    known = beside | FETCHED_BY_HAND | {'torch', 'onnx', 'transformers', 'sklearn'}
    assert {name for name in names - known if importlib.util.find_spec(name) is None} == set()


@pytest.mark.parametrize('path', sorted(RECIPES.glob('*/*.py')), ids=lambda path: f'{path.parent.name}/{path.name}')
def test_folders_that_a_recipe_writes_into_exist(path):
    """`parents[2]` is the checkout: results and models of a recipe go into folders of it."""
    for line in path.read_text().splitlines():
        if '__file__' in line and ' / ' in line:
            parts = [part.strip().strip("'") for part in line.split(' / ')[1:]]
            folder = RECIPES.parent.joinpath(*(part for part in parts if '.' not in part))
            assert folder.is_dir(), line

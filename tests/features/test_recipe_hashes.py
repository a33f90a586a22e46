"""Recipes keep their hashes: a store that was made before is known again, whatever moves in the code."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from affekt.encoders import ModelFolder, exported
from affekt.features import RECIPES, encoder_names, encoder_recipe, model_recipes, onnx_recipes, recipe_named
from affekt.features import smile_recipes as smile

KNOWN = json.loads((Path(__file__).parent / 'recipe_hashes.json').read_text(encoding='utf-8'))
"""Recipe to the first 16 digits of its hash; of those with weights, over the folders and files that are made up here.
`@cuda` is the recipe of a large language model in half precision."""
ARCHITECTURES = {
    'speech': 'hubert', 'whisper': 'whisper', 'text': 'bert', 't5': 't5', 'clip': 'clip', 'picture': 'dinov2',
    'videomae': 'videomae',
}  # fmt: skip


def test_recipes_that_bring_all_they_need_keep_their_hashes():
    recipes = [*RECIPES.values(), *(recipe_named('hash512', column) for column in ('chinese', 'english'))]
    assert {recipe.name: recipe.hash[:16] for recipe in recipes} == KNOWN['own']


def test_encoders_of_transformers_keep_their_hashes(monkeypatch):
    hashes = {}
    for name, (published, _, _) in encoder_names().items():
        config = {'model_type': ARCHITECTURES[published.family]}
        folder = ModelFolder(Path('somewhere'), config, {'config.json': '0' * 64})
        size = published.dimension or 768, published.layers or 12
        monkeypatch.setattr(model_recipes, 'model_folder', lambda model, folder=folder: folder)
        monkeypatch.setattr(model_recipes, 'size_of', lambda folder, size=size: size)
        on_cpu, on_gpu = (encoder_recipe(name, 'somewhere', device=device).hash[:16] for device in ('cpu', 'cuda'))
        hashes |= {name: on_cpu} | ({f'{name}@cuda': on_gpu} if on_gpu != on_cpu else {})
    assert hashes == KNOWN['transformers']


def test_exported_networks_keep_their_hashes(monkeypatch, tmp_path):
    file = tmp_path / 'network.onnx'
    file.write_bytes(b'made up')
    (tmp_path / 'vggish_pca_params.npz').write_bytes(b'made up too')
    monkeypatch.setattr(exported, 'weights_beside', lambda path: {'network.onnx.data': '1' * 64})
    monkeypatch.setattr(exported, 'read_pca', lambda path: None)
    monkeypatch.setattr(onnx_recipes, 'functools', SimpleNamespace(partial=lambda *parts: lambda recipe: None))
    names = onnx_recipes.exported_names()
    assert {name: onnx_recipes.exported_recipe(name, str(file)).hash[:16] for name in names} == KNOWN['exported']


def test_sets_of_opensmile_keep_their_hashes(monkeypatch):
    made_up = SimpleNamespace(num_features=2, feature_names=['a', 'b'])
    monkeypatch.setattr(smile, '_smile', lambda *choices: made_up)
    monkeypatch.setattr(smile, '_opensmile', lambda: SimpleNamespace(__version__='1.0'))
    names = [name for name in smile.smile_names() if not name.startswith(smile.OWN)]
    assert {name: smile.smile_recipe(name).hash[:16] for name in names} == KNOWN['opensmile']

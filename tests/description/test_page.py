from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import torch

import affekt.description as room
import affekt.llm
from affekt.corpora import Facts, Manifest, Sample
from affekt.description import tiny_trunk

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'describing.md'


def test_the_example_of_the_page_runs(monkeypatch):
    code = re.search(r'```text\n(.*?)```', PAGE.read_text(), re.S)[1]
    monkeypatch.setattr(room, 'open_trunk', lambda name: tiny_trunk())
    names = {'voice': torch.randn(5, 384)}
    exec(compile(code, str(PAGE), 'exec'), names)
    assert names['answer'].finish in ('end', 'stop', 'length')
    assert names['clip'].pieces.sources == ('voice',)
    assert torch.isfinite(names['loss'])


def test_the_card_and_the_tables_of_the_page_are_what_the_recipe_writes():
    recipe = runpy.run_path(str(ROOT / 'recipes' / 'describer' / 'page.py'))
    path, result = ROOT / 'affekt' / 'models' / 'describer.json', json.loads(recipe['RESULT'].read_text())
    card = json.loads(path.read_text())
    assert card['metrics'] == result
    assert path.with_suffix('.md').read_text() == recipe['page'](card)
    assert PAGE.read_text() == recipe['with_tables'](PAGE.read_text(), result)


def test_every_name_of_the_page_is_public():
    text = PAGE.read_text()
    for name in re.findall(r'`(\w+)\(', text):
        assert name in {*room.__all__, *affekt.llm.__all__}, name


def test_the_training_of_the_page_runs(monkeypatch):
    blocks = re.findall(r'```text\n(.*?)```', PAGE.read_text(), re.S)
    code = next(block for block in blocks if 'train_describer' in block)
    asked, trained = [], []
    monkeypatch.setattr(room, 'readings_from', lambda stores, names: {name: {'pitch': 1.0} for name in names})
    monkeypatch.setattr(room, 'examples_from', lambda *parts: asked.append(parts) or room.Examples(()))
    monkeypatch.setattr(room, 'train_describer', lambda *parts, folder: trained.append((parts[3], folder)))
    clips = Manifest(Facts('toy'), [Sample('a')])
    names = {'acoustics': None, 'training': clips, 'validation': clips, 'stores': {}, 'describer': None, 'runs': Path()}
    exec(compile(code, str(PAGE), 'exec'), names)
    assert [parts[2].form for parts in asked] == ['description', 'description', 'labels_first', 'labels_first']
    assert [(settings.stage, folder.name) for settings, folder in trained] == [('coarse', 'coarse'), ('fine', 'fine')]

"""The published program itself over tiny networks of each architecture: ours gives its numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import published_folders

from affekt.features import Store, extract, recipe_named

GOLDEN = json.loads((Path(__file__).parent / 'published_encoders.json').read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def manifests(tmp_path_factory):
    return published_folders.samples(tmp_path_factory.mktemp('samples'))


@pytest.mark.parametrize('kind', published_folders.KINDS)
def test_features_are_those_of_the_published_program(kind, manifests, tmp_path):
    # github.com/zeroQiaoba/MERTools, commit 89120b7, MERBench/feature_extraction/*/extract_*_huggingface.py on the CPU,
    # with transformers 4.28.1 (DINOv2 and BLOOM: 4.33.3) over the folders of published_folders.build
    if kind in published_folders.PIECES:
        pytest.importorskip('sentencepiece', reason='sentencepiece is not installed')
    folder = published_folders.build(tmp_path / kind, kind, GOLDEN['pieces'])
    reads = published_folders.KINDS[kind]
    for level in ('frm', 'utt'):
        column = 'chinese' if reads == 'text' else 'text'
        recipe = recipe_named(f'merbench-own-{reads}-{level}', column, model=str(folder))
        if kind == 'dinov2':
            recipe = dataclasses.replace(recipe, facts={**recipe.facts, 'pictures': 64})
        store = Store(extract(manifests[reads], recipe, tmp_path / 'out').path.parent)
        for name, golden in GOLDEN[level][kind].items():
            rows = store.values(name)
            largest = max(np.abs(rows).max(), 1e-3)
            assert len(rows) == golden['rows'], (name, level)
            np.testing.assert_allclose(rows[-1], golden['last'], atol=1e-4 * largest)
            np.testing.assert_allclose(rows.mean(axis=0), golden['mean'], atol=1e-4 * largest)

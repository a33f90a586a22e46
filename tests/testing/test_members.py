"""Every member of affekt keeps its contract."""

from __future__ import annotations

import importlib.util

import layouts
import pytest

from affekt.analysis import EXPORTS
from affekt.corpora import CORPORA, Facts, Manifest, Sample
from affekt.features import RECIPES
from affekt.judging.plain_judges import REFERENCES
from affekt.metrics import METRICS
from affekt.testing import check_corpus, check_export, check_fusion, check_judge, check_metric, check_recipe
from affekt.weights import MODELS, model_path, state

NEEDS = {'minilm': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'), 'faces': ('face_landmarker.task', 'carphone.mp4')}
"""Beginning of a recipe's name to the model files that its contract is checked with."""
RELEASES = {
    'iemocap4': 'iemocap', 'iemocap6': 'iemocap', 'meld': 'meld', 'mer2023': 'mer2023', 'mer2024': 'mer2024',
    'mer2025': 'mer2025', 'mer2026': 'mer2026', 'sims': 'mmsa', 'mafw': 'mafw', 'dfew': 'dfew', 'ferv39k': 'ferv39k',
    'folder': 'own',
}  # fmt: skip
"""Corpus to its made-up release."""
NOT_BLIND = ('always left', 'random')
"""Controls that answer by sides, or by who described."""
OPTIONS = {'mfn': {'memory': 8}, 'graph_mfn': {'memory': 8}, 'mfm': {'memory': 8}, 'mult': {'layers': 1, 'heads': 2}}


SPOKEN = ('voice-layers', 'speech-acoustics')
"""Beginnings of recipes that read a spoken stretch, and nothing where nobody speaks."""


@pytest.mark.parametrize('name', [name for name in RECIPES.own if name.startswith(SPOKEN)])
def test_every_recipe_of_speech_keeps_its_contract(name, shared_data):
    rows = [Sample(f'part {start}', audio='two_cities.wav', recording='two_cities', start_s=start, end_s=start + 4.0)
            for start in (0.0, 4.0)]  # fmt: skip
    check_recipe(name, Manifest(Facts('a reader', root=str(shared_data / 'test_media')), rows))


@pytest.mark.parametrize('name', [name for name in RECIPES.own if not name.startswith(SPOKEN)])
def test_every_recipe_keeps_its_contract(name):
    needs = next((files for start, files in NEEDS.items() if name.startswith(start)), ())
    if any(state(MODELS[file]) != 'verified' for file in needs):
        pytest.skip('model files are absent (run `affekt weights get --all`)')
    if not name.startswith('faces'):
        check_recipe(name)
        return
    clip = model_path('carphone.mp4')
    rows = [Sample(f'part {n}', video=clip.name, recording=clip.stem, start_s=n, end_s=n + 0.3) for n in (0.0, 1.0)]
    check_recipe(name, Manifest(Facts('a face', root=str(clip.parent)), rows))


def _fusion_models():
    if importlib.util.find_spec('torch') is None:
        return ()
    from affekt.fusion import FUSION_MODELS

    return tuple(FUSION_MODELS.own)


@pytest.mark.parametrize('name', _fusion_models())
def test_every_fusion_model_keeps_its_contract(name):
    check_fusion(name, **OPTIONS.get(name, {}))


@pytest.mark.parametrize('name', CORPORA.own)
def test_every_corpus_keeps_its_contract(name, tmp_path):
    release = getattr(layouts, RELEASES[name], None) if name in RELEASES else None
    if release is not None:
        release(tmp_path)
    check_corpus(name, tmp_path if release is not None else None)


@pytest.mark.parametrize('name', METRICS.own)
def test_every_metric_keeps_its_contract(name):
    check_metric(name)


@pytest.mark.parametrize('name', REFERENCES.own)
def test_every_judge_keeps_its_contract(name):
    check_judge(name, is_blind=name not in NOT_BLIND)


@pytest.mark.parametrize('name', EXPORTS.own)
def test_every_export_keeps_its_contract(name):
    check_export(name)

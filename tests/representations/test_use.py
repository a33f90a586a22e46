"""A checkpoint is a recipe, a modality of MERBench and a backbone of fine-tuning, as any other encoder is."""

from __future__ import annotations

import json

import encoder_cases as cases
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')
pytest.importorskip('transformers', reason='transformers is not installed')

from affekt.benchmarks import FinetuningSettings, MerbenchSettings, run_finetuning, run_merbench
from affekt.cli import main
from affekt.errors import WeightsError
from affekt.experiments import open_stores
from affekt.features import Store, extract, recipe_named

TUNING = FinetuningSettings(
    learning_rates=(1e-2,), backbone_share=0.1, seeds=1, trials=1, epochs=2, patience=2, batch_size=16, frozen_trials=1,
    frozen_epochs=4, resamples=50,
)  # fmt: skip


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    return cases.corpus_of_clips(tmp_path_factory.mktemp('media') / 'clips')


@pytest.fixture(scope='module')
def store(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp('made')
    recipe = recipe_named('hicmae-utt', model=str(cases.run_folder(folder / 'run', cases.BOTH)))
    made = extract(corpus, recipe, folder / 'features')
    assert made.partial == ((corpus.samples[0].sample, 'no video (the manifest names none)'),)
    return Store(made.path.parent)


def test_a_store_says_which_samples_lack_a_part(corpus, store):
    first, second = corpus.names[:2]
    assert set(store.names) == set(corpus.names)
    assert store.partial == {first: 'no video (the manifest names none)'}
    assert store.missing == {}
    assert store.modality == 'video'
    width = cases.BOTH.width
    assert not store.values(first)[0, :width].any()
    assert store.values(second)[0, :width].any()


def test_the_same_extraction_is_known_again_and_another_checkpoint_is_another_recipe(tmp_path, corpus):
    few = type(corpus)(corpus.facts, tuple(corpus.samples[:3]))
    folders = [cases.run_folder(tmp_path / str(seed), cases.AUDIO, seed) for seed in (0, 1)]
    recipes = [recipe_named('hicmae-frm', model=str(folder)) for folder in folders]
    assert recipes[0].hash != recipes[1].hash
    assert recipes[0].hash == recipe_named('hicmae-frm', model=str(folders[0] / 'weights.safetensors')).hash
    assert recipes[0].modality == 'audio'
    first, again = (extract(few, recipes[0], tmp_path / 'out') for _ in range(2))
    assert (first.samples, again.samples, again.resumed) == (3, 3, 1)
    rows = Store(first.path)[few.names[0]]
    np.testing.assert_allclose(np.diff(rows.times), 0.16)


def test_a_checkpoint_of_another_network_and_none_at_all_are_refused(tmp_path):
    folder = cases.run_folder(tmp_path / 'svfap', cases.FACES)
    with pytest.raises(WeightsError, match='svfap-utt'):
        recipe_named('hicmae-utt', model=str(folder))
    with pytest.raises(WeightsError, match='--model'):
        recipe_named('svfap-frm')
    assert recipe_named('svfap-layers-utt', model=str(folder)).dimension == 3 * cases.FACES.width


def test_the_command_extracts_and_says_what_is_lacking(tmp_path, corpus):
    corpus.save(tmp_path / 'm.parquet')
    run = cases.run_folder(tmp_path / 'run', cases.VIDEO)
    words = ['features', 'extract', str(tmp_path / 'm.parquet'), '--recipe', 'hicmae', '--model', str(run)]
    done = CliRunner().invoke(main, [*words, '--out', str(tmp_path / 'out'), '--json'])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told['samples'] == len(corpus) - 1
    assert told['missing'] == {corpus.names[0]: 'video: the manifest names none'}


def test_a_checkpoint_is_a_modality_of_merbench(corpus, store):
    settings = MerbenchSettings(model='linear', seeds=1, trials=1, epochs=4, patience=2, batch_size=16, resamples=50)
    outcome = run_merbench(corpus, open_stores([str(store.path)]), settings)
    scores = {row.system.name: row.scores['weighted_f1'].value for row in outcome.rows}
    # how bright a picture is says the category, and a linear layer reads it even through random weights
    assert scores['linear'] > scores['constant'] + 0.2


def test_a_checkpoint_is_a_backbone_of_fine_tuning(tmp_path, corpus):
    outcome = run_finetuning(corpus, cases.run_folder(tmp_path / 'run', cases.BOTH), TUNING)
    assert [row.system.name for row in outcome.rows] == ['constant', 'linear', 'frozen', 'fine-tuned']
    assert outcome.encoder['kind'] == 'hicmae'
    assert outcome.encoder['modality'] == 'video'

"""Tiny encoders with random weights on the made-up corpus. Needs torch and transformers; else the tests are skipped."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is absent (pip install affekt[encoders])')
pytest.importorskip('transformers', reason='transformers is absent (pip install affekt[encoders])')

import tiny_encoders as tiny

from affekt.benchmarks import FinetuningSettings, run_finetuning
from affekt.benchmarks import finetuning as bench
from affekt.benchmarks.finetuning_settings import RATES, rates_of
from affekt.benchmarks.finetuning_tables import finetuning_facts, finetuning_markdown
from affekt.cli import main
from affekt.corpora import made_up_corpus
from affekt.errors import CorpusError, RunError, UnknownNameError, ValueRangeError, WeightsError

QUICK = FinetuningSettings(
    learning_rates=(1e-2,), backbone_share=1.0, seeds=2, trials=1, epochs=6, patience=3, batch_size=16, frozen_trials=1,
    frozen_epochs=10, resamples=100,
)  # fmt: skip


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    corpus = made_up_corpus()
    return tiny.bert(tmp_path_factory.mktemp('bert'), [row.text for row in corpus.samples])


@pytest.fixture
def corpus():
    return made_up_corpus()


@pytest.fixture(scope='module')
def quick(bert):
    return run_finetuning(made_up_corpus(), bert, QUICK)


def by_name(outcome):
    return {row.system.name: row for row in outcome.rows}


def without_times(outcome):
    facts = finetuning_facts(outcome)
    for row in facts['rows']:
        row.pop('seconds')
    return facts


def test_an_encoder_learns_the_words_that_tell_the_category(quick):
    rows = by_name(quick)
    assert list(rows) == ['constant', 'linear', 'frozen', 'fine-tuned']
    # always one of three equal categories: precision 1/3, recall 1, so F1 1/2 for a third of the samples
    assert rows['constant'].scores['weighted_f1'].value == pytest.approx(1 / 6)
    assert rows['fine-tuned'].scores['weighted_f1'].value > 0.95
    assert len(rows['fine-tuned'].by_seed) == 2
    # the head's parameters are part of the whole's
    assert 0 < rows['frozen'].system.parameters < rows['fine-tuned'].system.parameters
    gains = {(name, gain.kind): gain for name, row in rows.items() for gain in row.gains}
    assert set(gains) == {('fine-tuned', 'frozen'), ('fine-tuned', 'linear'), ('frozen', 'linear')}
    for (left, right), gain in gains.items():
        both = (rows[name].scores['weighted_f1'].value for name in (left, right))
        assert gain.value.value == pytest.approx(next(both) - next(both))
        assert gain.p <= gain.p_holm


def test_the_truth_of_the_test_changes_no_answer(corpus, bert):
    turned = {'neutral': 'happy', 'happy': 'sad', 'sad': 'neutral'}
    samples = tuple(
        dataclasses.replace(row, category=turned[row.category]) if row.split == 'test' else row
        for row in corpus.samples
    )
    settings = dataclasses.replace(QUICK, seeds=1, epochs=2)
    one = run_finetuning(corpus, bert, settings)
    two = run_finetuning(dataclasses.replace(corpus, samples=samples), bert, settings)
    for left, right in zip(one.rows, two.rows, strict=True):
        np.testing.assert_array_equal(left.system.logits, right.system.logits)


def test_a_run_killed_within_an_epoch_goes_on_to_the_same_numbers(corpus, bert, quick, tmp_path, monkeypatch):
    whole = without_times(quick)

    def dies(bar, share):
        if share > 0.5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(bench._Bar, 'epoch', dies)
        run_finetuning(corpus, bert, QUICK, folder=tmp_path / 'run')
    (running,) = (tmp_path / 'run' / bench.RUNNING).iterdir()
    assert (running / 'checkpoint.safetensors').exists()
    with pytest.raises(RunError):
        run_finetuning(corpus, bert, QUICK, folder=tmp_path / 'run')
    resumed = without_times(run_finetuning(corpus, bert, QUICK, folder=tmp_path / 'run', resume=True))
    assert resumed == whole
    assert not running.exists()
    other = dataclasses.replace(QUICK, batch_size=8)
    with pytest.raises(RunError, match='settings'):
        run_finetuning(corpus, bert, other, folder=tmp_path / 'run', resume=True)


def test_sessions_are_tested_in_turn_and_sentiment_by_its_sign(corpus, bert):
    samples = tuple(dataclasses.replace(row, split=None) for row in corpus.samples)
    settings = dataclasses.replace(QUICK, target='sentiment', seeds=1, epochs=4, precision='bfloat16')
    outcome = run_finetuning(dataclasses.replace(corpus, samples=samples), bert, settings)
    row = by_name(outcome)['fine-tuned']
    assert (row.test, row.headline) == ('folds', 'f1_negative_positive')
    assert row.system.values.shape == (1, 144, 1)
    assert len(row.system.chosen) == len(outcome.task.fair) == 4
    assert row.scores['f1_negative_positive'].value > 0.9


def test_an_encoder_of_sound_is_trained_on_the_samples_of_files(tmp_path):
    corpus = made_up_corpus(media=tmp_path / 'wav')
    few = corpus.keep(lambda row: row.dialogue.endswith('d1'))
    settings = dataclasses.replace(QUICK, seeds=1, epochs=1, batch_size=8)
    outcome = run_finetuning(few, tiny.wav2vec2(tmp_path / 'encoder'), settings)
    assert outcome.encoder['modality'] == 'audio'
    assert np.isfinite(by_name(outcome)['fine-tuned'].scores['weighted_f1'].value)


def test_an_encoder_of_clips_is_trained_on_pictures_of_faces(tmp_path, rng):
    corpus = made_up_corpus()
    shade = {'neutral': 40, 'happy': 220, 'sad': 130}
    (tmp_path / 'faces').mkdir()
    samples = []
    for row in corpus.samples:
        pictures = rng.integers(0, 30, (int(rng.integers(1, 6)), 20, 20, 3)) + shade[row.category]
        np.save(tmp_path / 'faces' / f'{row.sample}.npy', pictures.astype(np.uint8))
        samples.append(dataclasses.replace(row, frames=f'faces/{row.sample}.npy'))
    facts = dataclasses.replace(corpus.facts, root=str(tmp_path))
    manifest = dataclasses.replace(corpus, facts=facts, samples=tuple(samples))
    settings = dataclasses.replace(QUICK, seeds=1, epochs=8, learning_rates=(3e-3,))
    outcome = run_finetuning(manifest, tiny.videomae(tmp_path / 'encoder'), settings)
    assert by_name(outcome)['fine-tuned'].scores['weighted_f1'].value > 0.9


def test_samples_without_what_the_encoder_reads_are_named(corpus, tmp_path):
    with pytest.raises(CorpusError, match=r'144 of 144: .*no audio'):
        run_finetuning(corpus, tiny.wav2vec2(tmp_path), QUICK)


def test_a_folder_without_an_encoder_is_one_clear_error(corpus, tmp_path):
    with pytest.raises(WeightsError, match=r'without config\.json'):
        run_finetuning(corpus, tmp_path, QUICK)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueRangeError, match='rate'):
        FinetuningSettings(learning_rates=(0.0,))
    with pytest.raises(UnknownNameError, match='column'):
        FinetuningSettings(column='french')  # type: ignore[arg-type]
    with pytest.raises(ValueRangeError):
        FinetuningSettings(epochs=0)
    with pytest.raises(ValueRangeError):
        rates_of('fast')


def test_draws_take_every_rate_in_turn_and_none_twice():
    draws = FinetuningSettings().draws(RATES, 100)
    assert [draw['learning_rate'] for draw in draws[:5]] == [*RATES, RATES[0]]
    # 4 rates, 2 widths, 4 shares of dropout
    assert len({tuple(draw.values()) for draw in draws}) == len(draws) == 32


def test_the_command_prints_json_keeps_the_run_and_goes_on(corpus, bert, tmp_path):
    corpus.save(tmp_path / 'corpus.parquet')
    command = [
        'bench', 'finetune', '--corpus', str(tmp_path / 'corpus.parquet'), '--encoder', str(bert), '--rates', '1e-2',
        '--seeds', '1', '--trials', '1', '--epochs', '2', '--resamples', '50', '--out', str(tmp_path / 'run'),
    ]  # fmt: skip
    done = CliRunner().invoke(main, [*command, '--json'])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert [row['model'] for row in facts['rows']] == ['constant', 'linear', 'frozen', 'fine-tuned']
    assert {path.name for path in (tmp_path / 'run').iterdir()} >= {'finetuning.json', 'finetuning.md'}
    again = CliRunner().invoke(main, [*command, '--resume'])
    assert again.exit_code == 0, again.output
    assert 'Gains over simpler models' in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80
    assert '…' not in again.stdout  # no number is cut off
    wrong = CliRunner().invoke(main, [*command, '--resume', '--encoder', str(tmp_path)])
    assert wrong.exit_code == 2
    assert 'config.json' in wrong.output


def test_markdown_has_a_line_for_every_model(corpus, bert):
    outcome = run_finetuning(corpus, bert, dataclasses.replace(QUICK, seeds=1, epochs=1))
    lines = [line for line in finetuning_markdown(outcome).splitlines() if line.startswith('| ')]
    assert [line.split(' | ')[0] for line in lines] == [
        '| model', '| ---', '| constant', '| linear', '| frozen', '| fine-tuned',
        '| model', '| ---', '| frozen', '| fine-tuned', '| fine-tuned',
    ]  # fmt: skip

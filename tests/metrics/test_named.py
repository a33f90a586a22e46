"""Metrics by name, and labels of two tables scored with them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import made_up_corpus
from affekt.errors import TableError, UnknownNameError
from affekt.metrics import METRICS, read_label_pair, score_labels

TRUTH = 'name,category,speaker,valence\na,happy,x,0.5\nb,sad,y,-0.5\nc,happy,z,0.2\nd,sad,x,-0.2\n'
ANSWERS = 'sample,emotion,valence\nd,sad,-0.2\nc,happy,"0,2"\nb,happy,0.5\na,happy,0.5\n'


@pytest.fixture
def tables(tmp_path):
    paths = tmp_path / 'truth.csv', tmp_path / 'answers.csv'
    for path, text in zip(paths, (TRUTH, ANSWERS), strict=True):
        path.write_text(text)
    return paths


def test_samples_are_matched_by_name_in_the_order_of_the_truth(tables):
    pair = read_label_pair(*tables, by='speaker')
    assert pair.names == ('a', 'b', 'c', 'd')
    assert pair.truth.tolist() == ['happy', 'sad', 'happy', 'sad']
    assert pair.prediction.tolist() == ['happy', 'happy', 'happy', 'sad']
    assert pair.groups.tolist() == ['x', 'y', 'z', 'x']


def test_a_score_stands_beside_that_of_a_constant_answer(rng):
    (accuracy,) = score_labels(['a', 'a', 'b', 'a'], ['a', 'b', 'b', 'a'], ['accuracy'], rng=rng, resamples=0)
    assert (accuracy.interval.value, accuracy.constant) == (0.75, 0.75)
    (error,) = score_labels([0.0, 1.0, 2.0], [0.0, 1.0, 5.0], ['mae'], rng=rng, resamples=0)
    # off by 3 in one of three; the mean 1 is off by 1, 0 and 1
    assert (error.interval.value, error.constant) == (1.0, pytest.approx(2 / 3))


def test_without_names_every_built_in_metric_of_such_labels_is_taken(rng):
    scores = score_labels(np.arange(4.0), np.arange(4.0), rng=rng)
    assert [each.name for each in scores] == [name for name, each in METRICS.own.items() if each.reads == 'values']


def test_metrics_of_values_read_the_column_of_values(tables):
    words = ['score', 'labels', '--truth', str(tables[0]), '--prediction', str(tables[1]), '--metric', 'mae', '--json']
    shown = CliRunner().invoke(main, words)
    # b alone is off, by 1; the constant 0 is off by (0.5 + 0.5 + 0.2 + 0.2) / 4
    scores = json.loads(shown.stdout)['metrics']['mae']
    assert (scores['value'], scores['constant']) == (0.25, pytest.approx(0.35))


def test_a_manifest_is_a_truth(tmp_path):
    corpus = made_up_corpus()
    corpus.save(tmp_path / 'corpus.parquet')
    rows = '\n'.join(f'{row.sample},{row.category}' for row in corpus.samples)
    (tmp_path / 'answers.csv').write_text(f'sample,answer\n{rows}\n')
    words = ['score', 'labels', '--truth', str(tmp_path / 'corpus.parquet'), '--prediction']
    shown = CliRunner().invoke(main, [*words, str(tmp_path / 'answers.csv'), '--by', 'session', '--resamples', '10'])
    assert shown.exit_code == 0
    assert '144 samples' in shown.stdout
    assert 'weighted_f1' in shown.stdout


@pytest.mark.parametrize(
    ('answers', 'message'),
    [
        ('sample,emotion\na,happy\n', 'without a prediction'),
        (ANSWERS.replace('d,sad', 'd,'), 'without one for d'),
        ('sample,words\na,x\n', 'a column category'),
    ],
)
def test_answers_that_do_not_fit_are_refused(tables, answers, message):
    tables[1].write_text(answers)
    with pytest.raises(TableError, match=message):
        read_label_pair(*tables)


def test_a_word_where_numbers_are_wanted_is_named(tables):
    tables[1].write_text(ANSWERS.replace('-0.2', 'low'))
    with pytest.raises(TableError, match="'low' for d"):
        read_label_pair(*tables, reads='values')


@pytest.mark.parametrize(
    ('cell', 'message'),
    [('nan', 'label for every sample.*without one for a'), ('n/a', "number for every.*'n/a' for a")],
)
def test_nan_is_no_label_and_a_word_among_numbers_makes_no_classes_of_them(tables, cell, message):
    tables[0].write_text(f'name,valence\na,{cell}\nb,-0.5\nc,0.2\nd,-0.2\n')
    tables[1].write_text('name,valence\na,0.5\nb,0.5\nc,0.2\nd,-0.2\n')
    with pytest.raises(TableError, match=message):
        read_label_pair(*tables)


def test_metrics_of_different_labels_are_asked_for_in_turn(tables):
    words = ['score', 'labels', '--truth', str(tables[0]), '--prediction', str(tables[1]), '--metric', 'mae,accuracy']
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 2
    assert 'in turn' in shown.stderr


def test_metrics_of_the_wrong_labels_are_refused(rng):
    with pytest.raises(UnknownNameError, match='metrics of categories, which these are'):
        score_labels(['a', 'b'], ['a', 'b'], ['mae'], rng=rng)


def test_categories_that_are_numbers_are_equal_however_they_are_written(tmp_path):
    (tmp_path / 'truth.csv').write_text('sample,label\na,1\nb,2\n')
    (tmp_path / 'answers.jsonl').write_text('{"sample": "a", "label": 1.0}\n{"sample": "b", "label": "2.0"}\n')
    pair = read_label_pair(tmp_path / 'truth.csv', tmp_path / 'answers.jsonl', reads='categories')
    assert pair.truth.tolist() == pair.prediction.tolist() == ['1', '2']
    (tmp_path / 'tenths.csv').write_text('sample,label\na,0.1\nb,0.70\n')
    assert read_label_pair(tmp_path / 'tenths.csv', tmp_path / 'tenths.csv', reads='categories').truth[0] == '0.1'


def test_a_sample_without_a_group_is_refused_by_name(tmp_path):
    (tmp_path / 'truth.csv').write_text('sample,label,speaker\na,x,one\nb,y,\nc,x,\n')
    with pytest.raises(TableError, match='speaker for b, c'):
        read_label_pair(tmp_path / 'truth.csv', tmp_path / 'truth.csv', by='speaker')

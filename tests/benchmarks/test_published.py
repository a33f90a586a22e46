"""Published rows of faces and voices: read as printed, with where each was read."""

from __future__ import annotations

import pytest

from affekt.benchmarks import published_dfer
from affekt.corpora import CORPORA


def test_rows_are_shares_and_say_what_was_quoted_second_hand():
    table = published_dfer('RAVDESS, speech', 8)
    rows = {(row.model, row.inputs): row for row in table.rows}
    assert rows['HiCMAE-B', 'AV'].scores == {'uar': 0.8796, 'war': 0.8799}
    assert rows['HiCMAE-B', 'AV'].is_second_hand
    assert rows['SVFAP-B', 'V'].scores == {'uar': 0.7515, 'war': 0.7501}
    assert not rows['SVFAP-B', 'V'].is_second_hand
    assert rows['VQ-MAE-AV', 'AV'].scores == {'war': 0.848}  # its UAR is not printed
    assert 'arXiv:2401.00416' in table.source
    assert 'test chose the epoch' in table.protocol


def test_a_table_is_of_a_corpus_and_a_number_of_classes():
    assert published_dfer('CREMA-D', 6).rows[0].scores['war'] == 0.8595
    assert published_dfer('CREMA-D', 4).rows[0].scores['war'] == 0.9492
    assert published_dfer('CREMA-D', 5) is None
    assert published_dfer('somebody/labels.csv', 6) is None
    assert published_dfer('cremad', 6) == published_dfer('CREMA-D', 6)


def test_every_corpus_of_the_published_folds_has_its_rows():
    for name in ('ravdess', 'cremad', 'mafw', 'dfew', 'ferv39k', 'msp-improv', 'werewolf-xl', 'iemocap4'):
        corpus = CORPORA[name]
        table = published_dfer(corpus.title, len(corpus.categories))
        assert len(table.rows) >= 5, name
        assert all(0 < value < 1 for row in table.rows for value in row.scores.values())


def test_folds_by_themselves_are_near_the_pooled_figure():
    table = published_dfer('CREMA-D', 6)
    folds = table.folds['HiCMAE-B']
    # (1463 86.67 + 1470 83.20 + 1475 87.19 + 1474 83.79 + 1555 83.79) / 7437 = 84.914, as printed; their mean is not
    sizes = (1463, 1470, 1475, 1474, 1555)
    pooled = sum(size * war for size, (_, war) in zip(sizes, folds, strict=True)) / sum(sizes)
    assert pooled == pytest.approx(0.84914, abs=5e-6)
    assert sum(war for _, war in folds) / 5 == pytest.approx(0.84928, abs=1e-9)

"""Comparisons from columns: what is kept, what is refused and how the row is named; counting."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ComparisonError, UnknownNameError
from affekt.ranking import Comparisons, count, win_matrix
from affekt.ranking.comparisons import Source
from affekt.ranking.covariates import differences, doublings


def test_names_are_sorted_and_sides_kept():
    votes = Comparisons.of(['b', 'a'], ['a', 'c'], ['left', 'tie'])
    assert votes.items == ('a', 'b', 'c')
    assert votes.left.tolist() == [1, 0]
    assert votes.outcome.tolist() == [1, 0]
    assert repr(votes) == 'Comparisons(2 of 3 items, 1 ties)'


@pytest.mark.parametrize(
    ('columns', 'said'),
    [
        ({'left': ['a', 'b'], 'right': ['b', 'b'], 'outcome': ['left', 'left']}, "'b' against itself in row 2"),
        ({'left': ['a'], 'right': ['b'], 'outcome': ['won']}, "'won' in row 1"),
        ({'left': ['a'], 'right': ['b'], 'outcome': [2]}, '2 in row 1'),
        ({'left': ['a', ' '], 'right': ['b', 'a'], 'outcome': [1, 1]}, 'empty name.*row 2'),
        ({'left': ['a', 'a'], 'right': ['b', None], 'outcome': [1, 1]}, 'no text in row 2'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'weight': [float('nan')]}, 'nan in row 1'),
        ({'left': ['a', 'a'], 'right': ['b', 'b'], 'outcome': [1, 1], 'weight': [1, -0.5]}, '-0.5 in row 2'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'weight': [float('inf')]}, 'inf in row 1'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'weight': [0.0]}, 'weights of 0 only'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'first': [3]}, '3.0 in row 1'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'covariates': {'length': [np.nan]}}, 'nan in row 1'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'covariates': {'length': ['long']}}, 'numbers in length'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1, 1]}, '2 in outcome'),
        ({'left': [], 'right': [], 'outcome': []}, 'without any'),
        ({'left': ['a'], 'right': ['b'], 'outcome': [1], 'items': ['a']}, "'b'"),
    ],
)
def test_bad_columns_are_refused_with_the_row(columns, said):
    with pytest.raises(ComparisonError, match=said):
        Comparisons.of(**columns)


def test_swapping_turns_everything_that_has_a_side():
    votes = Comparisons.of(['a'], ['b'], ['left'], covariates={'length': [2.0]})
    turned = votes.swapped()
    assert (turned.left[0], turned.right[0], turned.outcome[0], turned.first[0]) == (1, 0, -1, -1)
    assert turned.covariates['length'][0] == -2.0
    for control, order in (((), False), (('length',), True)):
        one, two = (count(these, control=control, order=order) for these in (votes, turned))
        assert (one.counts == two.counts).all()
        assert (one.extra == two.extra).all()


def test_counting_puts_a_pair_and_its_mirror_into_one_cell():
    votes = Comparisons.of(['a', 'b', 'a', 'a'], ['b', 'a', 'b', 'c'], ['left', 'left', 'tie', 'right'])
    cells = count(votes)
    assert cells.counts.tolist() == [[1, 0], [1, 1], [1, 0]]
    assert win_matrix(cells).toarray().tolist() == [[0, 1.5, 0], [1.5, 0, 0], [1, 0, 0]]


def test_counting_many_items_goes_by_sorting_and_gives_the_same():
    rng = np.random.default_rng(0)
    left = rng.integers(0, 3000, 400)
    right = (left + rng.integers(1, 3000, 400)) % 3000
    names = [f'{number:04d}' for number in range(3000)]
    votes = Comparisons.of([names[one] for one in left], [names[one] for one in right], [1] * 400, items=names)
    wins = win_matrix(count(votes))
    assert wins.sum() == 400
    assert all(wins[a, b] >= 1 for a, b in zip(left, right, strict=True))


def test_covariates_with_many_values_do_not_overflow_the_key():
    rng = np.random.default_rng(0)
    size = 2000
    left = rng.integers(0, 3000, size)
    right = (left + rng.integers(1, 3000, size)) % 3000
    names = [f'{number:04d}' for number in range(3000)]
    covariates = {f'c{one}': rng.normal(size=size) for one in range(6)}
    votes = Comparisons.of(
        [names[one] for one in left], [names[one] for one in right], [1] * size, items=names, covariates=covariates
    )
    cells = count(votes, control=list(covariates))
    assert len(cells.left) == size
    sign = np.where(votes.left > votes.right, -1, 1)
    assert (cells.extra[cells.cell_of, 3] == covariates['c3'] * sign).all()


def test_clusters_sum_to_the_counts():
    votes = Comparisons.of(['a', 'b', 'a'], ['b', 'a', 'c'], [1, 0, -1], sample=['x', 'y', 'x'], weight=[1, 2, 3])
    cells = count(votes)
    _, table = cells.by_cluster(votes.sample, votes.weight)
    assert table.sum(axis=0) == pytest.approx(cells.counts.reshape(1, -1))


def test_twice_as_long_is_one_doubling():
    assert doublings([15], [7]).tolist() == [1.0]


def test_levels_of_a_category_are_told_from_the_most_common_one():
    found = differences('style', ['plain', 'chatty', 'plain'], ['chatty', 'plain', 'plain'], Source('x'))
    assert {name: values.tolist() for name, values in found.items()} == {'style=chatty': [-1.0, 1.0, 0.0]}


def test_a_category_s_name_stands_for_its_levels_and_an_unknown_one_is_refused():
    votes = Comparisons.of(['a'] * 2, ['b'] * 2, [1, -1], covariates={'style=x': [1, 0], 'style=y': [0, 1]})
    assert count(votes, control=['style']).extra_names == ('style=x', 'style=y')
    with pytest.raises(UnknownNameError, match='among style'):
        count(votes, control=['length'])


@pytest.mark.parametrize('noun', ['rater', 'sample'])
def test_rows_without_a_rater_or_sample_are_not_taken_for_one(noun):
    def votes(labels):
        return Comparisons.of(['a', 'a', 'b'], ['b', 'b', 'a'], ['left'] * 3, **{noun: labels})

    class NAType:  # as pandas has it
        def __ne__(self, other):
            raise TypeError('boolean value of NA is ambiguous')

    for empty in ('', None, float('nan'), ' ', NAType()):
        with pytest.raises(ComparisonError, match=f'a {noun} in every row'):
            votes(['r', empty, 'r'])
        assert getattr(votes([empty] * 3), noun) is None

"""Folds that nobody crosses, and the check that says who does."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.corpora import (
    Facts,
    Manifest,
    Sample,
    find_leaks,
    made_up_corpus,
    published_folds,
    require_no_leaks,
    seeded_folds,
    shuffled_folds,
)
from affekt.corpora.folds import _groups
from affekt.corpora.leaks import unchecked
from affekt.errors import CorpusError, LeakError, ShapeError, UnknownNameError, ValueRangeError


def _corpus(*rows):
    return Manifest(Facts('toy', categories=('a', 'b')), rows)


def test_the_made_up_corpus_leaks_nothing_in_splits_and_folds():
    manifest = made_up_corpus()
    require_no_leaks(manifest)
    require_no_leaks(manifest, [str(fold) for fold in published_folds(manifest)])
    assert find_leaks(manifest) == []


@pytest.mark.parametrize('kind', ['speaker', 'dialogue', 'session', 'recording'])
def test_a_value_on_two_sides_is_a_leak(kind):
    rows = [
        Sample('1', split='train', **{kind: 'x'}),
        Sample('2', split='test', **{kind: 'x'}),
        Sample('3', split='test'),
    ]
    (leak,) = find_leaks(_corpus(*rows))
    assert (leak.kind, leak.what, leak.sides, leak.samples) == (kind, 'x', ('test', 'train'), 2)


def test_samples_on_no_side_leak_nothing():
    rows = [Sample('1', split='train', speaker='x'), Sample('2', speaker='x')]
    assert find_leaks(_corpus(*rows)) == []


def test_windows_that_overlap_across_sides_are_found_and_those_that_touch_are_not():
    def window(name, start, end, split, recording='r'):
        return Sample(name, recording=recording, start_s=start, end_s=end, split=split)

    rows = [
        window('long', 0, 10, 'train'),
        window('inside', 4, 5, 'test'),
        window('same side', 6, 7, 'train'),
        window('touching', 10, 11, 'test'),
        window('elsewhere', 4, 5, 'test', recording='s'),
    ]
    leaks = [leak for leak in find_leaks(_corpus(*rows)) if leak.kind == 'window']
    assert [leak.what for leak in leaks] == ['long and inside']
    with pytest.raises(LeakError, match='long and inside'):
        require_no_leaks(_corpus(*rows))
    require_no_leaks(_corpus(*rows), kinds=('speaker',))


def test_what_the_manifest_does_not_say_is_called_unchecked():
    assert unchecked(_corpus(Sample('1', speaker='x'))) == ('dialogue', 'window', 'recording', 'session')


def test_sides_of_another_length_and_unknown_kinds_are_refused():
    with pytest.raises(ShapeError):
        find_leaks(_corpus(Sample('1')), ['train', 'test'])
    with pytest.raises(UnknownNameError, match='dialogue'):
        find_leaks(_corpus(Sample('1')), kinds=('colour',))


@pytest.mark.parametrize('independent_of', [('speaker',), ('speaker', 'dialogue'), ('session',)])
def test_seeded_folds_are_independent_balanced_and_repeatable(independent_of):
    manifest = made_up_corpus()
    folds = seeded_folds(manifest, 4, seed=1, independent_of=independent_of)
    require_no_leaks(manifest, [str(fold) for fold in folds], kinds=independent_of)
    assert np.bincount(folds)[1:].tolist() == [36] * 4
    for fold in range(1, 5):
        assert np.bincount(manifest.labels()[folds == fold]).tolist() == [12, 12, 12]
    assert folds.tolist() == seeded_folds(manifest, 4, seed=1, independent_of=independent_of).tolist()
    assert folds.tolist() != seeded_folds(manifest, 4, seed=2, independent_of=independent_of).tolist()


def test_dialogues_that_share_a_speaker_are_one_group():
    # a talks to b, b talks to c: everybody hangs together; d and e talk alone
    pairs = [('ab', 'a'), ('ab', 'b'), ('bc', 'b'), ('bc', 'c'), ('de', 'd'), ('de', 'e')]
    rows = [Sample(str(at), dialogue=dialogue, speaker=speaker) for at, (dialogue, speaker) in enumerate(pairs)]
    folds = seeded_folds(_corpus(*rows), 2, seed=0, independent_of=('speaker', 'dialogue'))
    assert len(set(folds[:4])) == 1
    assert len(set(folds[4:])) == 1
    assert folds[0] != folds[4]


@given(
    groups=st.lists(st.integers(0, 8), min_size=4, max_size=60).filter(lambda held: len(set(held)) >= 3),
    count=st.integers(2, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_no_group_is_ever_divided_and_no_fold_is_empty(groups, count, seed):
    rows = [Sample(str(at), speaker=str(group), category='ab'[at % 2]) for at, group in enumerate(groups)]
    manifest = _corpus(*rows)
    folds = seeded_folds(manifest, count, seed=seed)
    require_no_leaks(manifest, [str(fold) for fold in folds], kinds=('speaker',))
    assert set(folds) == set(range(1, count + 1))


def test_folds_without_speakers_or_of_too_few_are_refused():
    with pytest.raises(CorpusError, match='speaker'):
        seeded_folds(_corpus(Sample('1'), Sample('2')), 2, seed=0)
    with pytest.raises(ValueRangeError, match='2 folds of 1 group'):
        seeded_folds(_corpus(Sample('1', speaker='x'), Sample('2', speaker='x')), 2, seed=0)
    with pytest.raises(CorpusError, match='affekt corpus folds'):
        published_folds(_corpus(Sample('1')))


def test_the_challenge_divides_3373_samples_into_four_times_674_and_677():
    folds = shuffled_folds(3373, 5, seed=100)
    assert Counter(folds.tolist()) == {1: 674, 2: 674, 3: 674, 4: 674, 5: 677}
    assert folds.tolist() != shuffled_folds(3373, 5, seed=0).tolist()
    with pytest.raises(ValueRangeError):
        shuffled_folds(3, 5, seed=0)


def _plain_leaks(rows, sides, kind):
    """Leaks of one kind, row by row and pair by pair."""
    seen = {}
    for row, side in zip(rows, sides, strict=True):
        if side and getattr(row, kind) is not None:
            seen.setdefault(getattr(row, kind), []).append(side)
    each = [(name, tuple(sorted(set(on))), len(on)) for name, on in seen.items() if len(set(on)) > 1]
    return sorted(each, key=lambda leak: (-leak[2], leak[0]))


def _plain_groups(rows, columns):
    """Groups as sets that are merged while any two share a value."""
    groups = [{at} for at in range(len(rows))]
    for column in columns:
        for value in dict.fromkeys(getattr(row, column) for row in rows):
            touched = [group for group in groups if any(getattr(rows[at], column) == value for at in group)]
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    return {frozenset(group) for group in groups}


_NAMES = st.sampled_from(['', 'a', 'b', 'c', 'd'])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_NAMES, _NAMES, st.sampled_from(['', 'train', 'val', 'test']), st.booleans()), max_size=25))
def test_columns_give_the_leaks_and_groups_of_rows(cells):
    rows = [
        Sample(f's{at}', speaker=None if is_none else who, dialogue=what)
        for at, (who, what, _, is_none) in enumerate(cells)
    ]
    sides = [side for _, _, side, _ in cells]
    for kind in ('speaker', 'dialogue'):
        leaks = find_leaks(_corpus(*rows), sides, [kind])
        assert [(leak.what, leak.sides, leak.samples) for leak in leaks] == _plain_leaks(rows, sides, kind)
    whole = [dataclasses.replace(row, speaker=row.speaker or 'a') for row in rows]
    for columns in (('dialogue',), ('speaker', 'dialogue'), ('dialogue', 'speaker')):
        numbers = _groups(_corpus(*whole), columns)
        grouped = {frozenset(np.flatnonzero(numbers == number).tolist()) for number in set(numbers.tolist())}
        assert grouped == _plain_groups(whole, columns)
        assert set(numbers.tolist()) == set(range(len(grouped)))

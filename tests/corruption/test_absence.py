"""Missing modalities: exact shares, seeds, and no sample without any."""

from __future__ import annotations

import dataclasses

import pytest

from affekt.corpora import Facts, Manifest, Sample
from affekt.corruption import Absence, absences, withhold
from affekt.errors import UnknownNameError, ValueRangeError

NAMES = [f's{index}' for index in range(100)]


def _counts(found):
    return {kind: sum(kind in without for without in found.values()) for kind in ('audio', 'video', 'text')}


def test_a_fixed_rule_withholds_from_every_sample():
    found = absences(NAMES, [Absence.of('audio+text')], 0)
    assert set(found.values()) == {frozenset({'audio', 'text'})}


def test_a_rate_is_an_exact_share_of_samples():
    assert _counts(absences(NAMES, [Absence.of('audio:0.3')], 0)) == {'audio': 30, 'video': 0, 'text': 0}
    both = absences(NAMES, [Absence.of('audio:0.3'), Absence.of('video:0.5')], 0)
    assert _counts(both) == {'audio': 30, 'video': 50, 'text': 0}
    assert sum(len(without) == 2 for without in both.values()) not in (0, 30)


@pytest.mark.parametrize('rate', [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_a_random_rate_is_an_exact_share_of_cells_and_every_sample_keeps_one(rate):
    found = absences(NAMES, [Absence.of(f'any:{rate}')], 1)
    assert sum(map(len, found.values())) == round(300 * rate)
    assert max(map(len, found.values())) <= 2
    # No modality is preferred: each has a third of the cells, give or take.
    assert max(_counts(found).values()) - min(_counts(found).values()) < 30


def test_seven_tenths_of_three_modalities_stand_for_two_thirds():
    assert {len(without) for without in absences(NAMES, [Absence.of('any:0.7')], 0).values()} == {2}


def test_draws_follow_the_seed_and_the_names_and_not_the_order():
    rules = [Absence.of('any:0.4')]
    assert absences(NAMES, rules, 5) == absences(NAMES[::-1], rules, 5)
    assert absences(NAMES, rules, 5) != absences(NAMES, rules, 6)


@pytest.mark.parametrize(
    'text',
    ['', 'smell', 'audio:0', 'audio:1.1', 'audio:x', 'audio:nan', 'any', 'any:0.8', 'audio+audio', 'audio+video+text'],
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueRangeError, match='audio, video or text'):
        Absence.of(text)


def test_rules_that_leave_nothing_are_refused():
    with pytest.raises(ValueRangeError, match='100 without any'):
        absences(NAMES, [Absence.of('audio+text'), Absence.of('video')], 0)


def test_a_manifest_keeps_its_masks_in_its_file(tmp_path):
    made = withhold(
        Manifest(Facts('x'), tuple(Sample(name, text='yes') for name in NAMES)), [Absence.of('text:0.25')], 2
    )
    made.save(tmp_path / 'm.parquet')
    again = Manifest.load(tmp_path / 'm.parquet')
    assert again == made
    assert (~again.keep_mask('text')).sum() == 25
    assert again.keep_mask('audio').all()
    # Text stays named: features are made once for all rates.
    assert all(row.text == 'yes' for row in again.samples)
    with pytest.raises(UnknownNameError, match='audio, video, text'):
        again.keep_mask('smell')


def test_what_was_missing_before_is_still_missing():
    rows = tuple(Sample(name, missing='video') for name in NAMES)
    made = withhold(Manifest(Facts('x'), rows), [Absence.of('text:0.5')], 0)
    assert {row.missing for row in made.samples} == {'video', 'video,text'}
    with pytest.raises(ValueRangeError, match='without any'):
        withhold(dataclasses.replace(made), [Absence.of('audio')], 0)


def test_a_manifest_from_before_these_columns_still_loads(tmp_path):
    from pyarrow import parquet

    held = Manifest(Facts('x'), (Sample('a', text='yes'),))
    held.save(tmp_path / 'm.parquet')
    table = parquet.read_table(tmp_path / 'm.parquet').drop_columns(['missing', 'corruption'])
    parquet.write_table(table, tmp_path / 'old.parquet')
    assert Manifest.load(tmp_path / 'old.parquet') == held

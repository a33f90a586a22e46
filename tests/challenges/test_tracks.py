"""Tracks of the MER challenges: stored scores, submissions written and read back, and every problem of a bad one."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.challenges import (
    check_submission,
    read_candidates,
    read_groups,
    read_preferences,
    score_track,
    write_submission,
)
from affekt.cli import main
from affekt.errors import TableError, UnknownNameError
from affekt.labels import read_answers
from affekt.metrics.open_vocabulary import official_parse
from affekt.npz import read_npz

NAMES = ('c', 'a', 'b')
GOOD = {'a': ['happy'], 'b': "['sad', 'worried']", 'c': 'The character’s emotional state is angry and tense.'}


@pytest.fixture(scope='module')
def example(shared_data):
    """The truth and the predictions that the organizers of 2024 published as an example."""
    folder = shared_data / 'mer2024_ov'
    return folder, read_answers(folder / 'check-openset.csv'), read_answers(folder / 'predict-openset.csv')


def test_the_score_of_2024_is_the_one_that_its_readme_prints(example, rng):
    folder, truth, prediction = example
    groups = read_groups(folder / 'openset-synonym.zip')
    found = score_track('mer2024-ov', truth, prediction, rng=rng, groups=groups, resamples=200)
    assert found.samples == 332
    assert found.parts['precision'].value == pytest.approx(0.5817771084337349, abs=1e-12)
    assert found.parts['recall'].value == pytest.approx(0.4977911646586345, abs=1e-12)
    assert found.score.value == pytest.approx(0.5397841365461847, abs=1e-12)
    assert found.score.low < found.score.value < found.score.high


def test_groups_in_a_table_give_the_same_score(example, rng, tmp_path):
    folder, truth, prediction = example
    groups = read_groups(folder / 'openset-synonym.zip')
    with (tmp_path / 'groups.csv').open('w', newline='') as file:
        csv.writer(file).writerows([('name', 'groups'), *groups.items()])
    again = read_groups(tmp_path / 'groups.csv')
    found = score_track('mer2024-ov', truth, prediction, rng=rng, groups=again, resamples=0)
    assert found.score.value == pytest.approx(0.5397841365461847, abs=1e-12)


def test_the_scores_of_2025_and_2026_are_the_stored_ones(example, rng, shared_data, table_2025, table_2026):
    _, truth, prediction = example
    held = json.loads((shared_data / 'vectors' / 'ov' / 'mer2024_ov.json').read_text())['expected']['ew']
    found = score_track('mer2025-track2', truth, prediction, rng=rng, table=table_2025, resamples=50)
    both = [held['2025'][f'EW_level{ring}']['f'] for ring in (1, 2)]
    assert found.score.value == pytest.approx(sum(both) / 2, abs=1e-12)
    assert found.table_is_official
    found = score_track('mer2026-track2', truth, prediction, rng=rng, table=table_2026, resamples=50)
    assert found.score.value == pytest.approx(held['2026']['EW_level1']['f'], abs=1e-12)
    other = score_track('mer2026-track2', truth, prediction, rng=rng, table=table_2025, resamples=0)
    assert not other.table_is_official


def test_samples_beside_the_truth_are_not_scored_and_missing_ones_are_named(example, rng, table_2026):
    _, truth, prediction = example
    part = dict(list(truth.items())[:100])
    assert score_track('mer2026-track2', part, prediction, rng=rng, table=table_2026, resamples=0).samples == 100
    with pytest.raises(TableError, match='sample_00000000'):
        score_track('mer2026-track2', truth, {}, rng=rng, table=table_2026)


def test_2024_without_groups_says_what_is_needed(example, rng):
    with pytest.raises(TableError, match='stored synonym groups'):
        score_track('mer2024-ov', *example[1:], rng=rng)


def test_an_unknown_track_lists_the_known_ones(rng):
    with pytest.raises(UnknownNameError, match='mer2025-track2'):
        score_track('mer2023', {}, {}, rng=rng)


@pytest.mark.parametrize(
    ('track', 'file'),
    [
        ('mer2024-ov', 'a.csv'),
        ('mer2025-track2', 'a-openset.npz'),
        ('mer2026-track2', 'a-openset.npz'),
        ('mer2026-track2', 'a.csv'),
    ],
)
def test_a_written_submission_is_in_order_and_reads_back(track, file, tmp_path):
    facts = write_submission(track, GOOD, tmp_path / file, NAMES)
    assert (facts.rows, facts.empty_answers, facts.follows_candidates) == (3, 0, True)
    # 1 + 2 + 2 labels in three answers.
    assert facts.labels_per_answer == pytest.approx(5 / 3)
    assert check_submission(track, tmp_path / file, NAMES) == facts
    held = read_answers(tmp_path / file)
    assert list(held) == list(NAMES)
    assert official_parse(held['c']) == ['angry', 'tense']


def test_the_archive_holds_two_arrays_of_text_as_the_released_scorer_reads(tmp_path):
    write_submission('mer2025-track2', GOOD, tmp_path / 'x-openset.npz', NAMES)
    held = read_npz(tmp_path / 'x-openset.npz')
    assert {name: array.dtype.kind for name, array in held.items()} == {'filenames': 'U', 'fileitems': 'U'}


def test_an_apostrophe_survives_the_official_parser(tmp_path):
    write_submission('mer2024-ov', {'a': ["don't care", 'sad']}, tmp_path / 'x.csv')
    assert official_parse(read_answers(tmp_path / 'x.csv')['a']) == ['don’t care', 'sad']


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'b': None}, "1 candidate without an answer: 'b'"),
        ({'z': ['sad']}, 'z is no candidate'),
        ({'b': ''}, 'b: no label; it scores 0'),
    ],
)
def test_nothing_is_written_where_something_is_wrong(change, said, tmp_path):
    prediction = {name: answer for name, answer in {**GOOD, **change}.items() if answer is not None}
    with pytest.raises(TableError) as caught:
        write_submission('mer2024-ov', prediction, tmp_path / 'x.csv', NAMES)
    assert said in str(caught.value)
    assert not (tmp_path / 'x.csv').exists()


def test_empty_answers_pass_where_they_are_allowed(tmp_path):
    facts = write_submission('mer2024-ov', {**GOOD, 'b': ''}, tmp_path / 'x.csv', NAMES, allow_empty=True)
    assert facts.empty_answers == 1
    assert check_submission('mer2024-ov', tmp_path / 'x.csv', NAMES, allow_empty=True).empty_answers == 1


def test_every_problem_of_a_submission_is_in_one_error_with_its_row(tmp_path):
    lines = [
        'name,openset',
        'a,happy',
        'a,"[x]"',
        'z,"[x]"',
        'b,',
        ',"[x]"',
        'd,"[[x], [y]]"',
        'e,"[a,b"',
        'f,"[x]",more',
        'g,"[this is a whole sentence that tells of feelings at length and in words]"',
        'h,"[x] "',
    ]
    (tmp_path / 'x.txt').write_text('\n'.join(lines))
    (tmp_path / 'x.csv').write_text('\n'.join(lines))
    with pytest.raises(TableError) as caught:
        check_submission('mer2024-ov', tmp_path / 'x.csv', ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'))
    said = str(caught.value)
    for problem in (
        "row 2: a: 'happy' is no list in brackets",
        'row 3: a again, first in row 2',
        'row 4: z is no candidate',
        'row 5: b: no label',
        'row 6: no name',
        "row 7: d: '[[x], [y]]' cannot be parsed",
        "row 8: e: '[a,b' is no list in brackets",
        'row 9: 3 cells',
        'row 11: h:',
        "1 candidate without an answer: 'c'",
    ):
        assert problem in said
    assert 'sentence' in said


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'name;openset\na;b\n', 'columns name;openset where name, openset belong'),
        (b'name,openset\n\xff,b\n', 'not UTF-8'),
        (b'', 'columns (none)'),
        (b'name,openset\n', 'without an answer'),
        (b'name,openset\n"a', 'not a csv'),
    ],
)
def test_a_file_that_is_no_table_of_names_and_lists_is_refused(content, said, tmp_path):
    (tmp_path / 'x.csv').write_bytes(content)
    with pytest.raises(TableError) as caught:
        check_submission('mer2024-ov', tmp_path / 'x.csv', ('a',))
    assert said in str(caught.value)


def test_archives_that_the_scorer_cannot_read_are_refused(tmp_path):
    path = tmp_path / 'x-openset.npz'
    for arrays, said in (
        ({'names': ['a'], 'items': ['[x]']}, 'arrays names, items where'),
        ({'filenames': ['a', 'b'], 'fileitems': ['[x]']}, '2 filenames and 1 fileitem'),
    ):
        np.savez(path, **arrays)
        with pytest.raises(TableError, match=said):
            check_submission('mer2025-track2', path, ('a',))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TableError, match='damaged'):
        check_submission('mer2025-track2', path, ('a',))


def test_the_name_of_the_file_must_be_what_the_organizers_accept(tmp_path):
    with pytest.raises(TableError, match=r'x\.csv does not end in -openset\.npz'):
        write_submission('mer2025-track2', GOOD, tmp_path / 'x.csv', NAMES)


def test_many_problems_are_counted_and_the_first_are_shown(tmp_path):
    (tmp_path / 'x.csv').write_text('name,openset\n' + ''.join(f'{index},x\n' for index in range(100)))
    with pytest.raises(TableError, match='100 problems') as caught:
        check_submission('mer2024-ov', tmp_path / 'x.csv', tuple(map(str, range(100))))
    assert 'and 80 more' in str(caught.value)


def test_candidates_stand_once(tmp_path):
    (tmp_path / 'c.csv').write_text('name\na\na\n')
    with pytest.raises(TableError, match="'a'"):
        read_candidates(tmp_path / 'c.csv')


def test_a_zip_has_one_file_of_groups_per_sample(tmp_path):
    np.savez(tmp_path / 'groups.npz', **{'one/a': "[['sad']]", 'two/a': "[['glad']]"})
    with pytest.raises(TableError, match="two files of 'a'"):
        read_groups(tmp_path / 'groups.npz')


@pytest.mark.parametrize(
    ('read', 'value'), [(read_candidates, 'x'), (read_preferences, 'a1'), (read_groups, "['sad']")]
)
@pytest.mark.parametrize(('second', 'said'), [('null', 'a row without a name'), ('"a"', "'a' more than once")])
def test_every_row_of_a_table_is_one_sample(read, value, second, said, tmp_path):
    column = {read_preferences: 'preference', read_groups: 'groups'}.get(read, 'text')
    rows = [f'{{"name": {name}, "{column}": "{value}"}}\n' for name in ('"a"', second)]
    (tmp_path / 'c.jsonl').write_text(''.join(rows))
    with pytest.raises(TableError, match=said):
        read(tmp_path / 'c.jsonl')


def test_commands_write_check_and_score(example, shared_data, tmp_path):
    folder, run = example[0], CliRunner()
    names, made = str(folder / 'check-openset.csv'), str(tmp_path / 'mine-openset.npz')
    words = ['mer2025-track2', str(folder / 'predict-openset.csv'), '--candidates', names, '--out', made]
    refused = run.invoke(main, ['track', 'write', *words])
    assert refused.exit_code == 2
    assert '5 problems' in refused.stderr
    assert run.invoke(main, ['track', 'write', *words, '--allow-empty']).exit_code == 0
    checked = run.invoke(main, ['track', 'check', 'mer2025-track2', made, '--candidates', names, '--allow-empty'])
    assert '332 answers in the order of the candidates' in checked.output
    tables = str(shared_data / 'wheels' / '2025')
    words = ['track', 'score', 'mer2025-track2', made, '--truth', names, '--tables', tables]
    shown = run.invoke(main, words, env={'COLUMNS': '80'})
    assert '48.91' in shown.stdout
    facts = json.loads(run.invoke(main, [*words, '--json', '--resamples', '10']).stdout)
    assert facts['score'] == pytest.approx((0.5537059069585599 + 0.4244863488795757) / 2, abs=1e-12)

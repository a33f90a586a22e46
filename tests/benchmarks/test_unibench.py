"""MER-UniBench: published and stored figures, made-up folders for all nine sets, and every kind of bad input."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.benchmarks import UNIBENCH, published, run_unibench
from affekt.benchmarks.facts import unibench_facts
from affekt.benchmarks.measures import derived_sentiment, measure_basic, measure_fine_grained, measure_sentiment
from affekt.benchmarks.predictions import prediction_files, short_name
from affekt.benchmarks.sets import _checked, find_labels, read_labels_of, set_named
from affekt.cli import main
from affekt.errors import AffektError, ArchiveError, TableError, UnknownNameError
from affekt.labels import load_table
from affekt.metrics.open_vocabulary import hit_rates, sentiment_scores, set_scores


@pytest.fixture(scope='module')
def released(stored, table_2025):
    """The stored answers of AffectGPT, seven checkpoints on five sets."""
    rng = np.random.default_rng(0)
    return run_unibench(stored / 'predictions', stored / 'labels', table=table_2025, rng=rng)


def test_the_published_row_is_reproduced_by_the_oracle_per_set(released):
    # AffectGPT A+V+T in the paper's main table, and the checkpoint that each figure is of.
    expected = {'mer2023': (78.54, '50'), 'meld': (55.65, '30'), 'cmumosi': (81.30, '40'), 'sims': (88.49, '30')}
    oracle = released.rows[-1]
    assert oracle.protocol == 'oracle per set'
    assert oracle.chosen_on_test
    found = {key: (round(100 * oracle.scores[key], 2), short_name(oracle.checkpoints[key])) for key in expected}
    assert found == expected


def test_every_stored_score_is_met(released, shared_data):
    folder = shared_data / 'vectors' / 'ov'
    for key in ('mer2023', 'meld', 'cmumosi', 'sims'):
        for number, held in json.loads((folder / f'unibench_{key}.json').read_text())['checkpoints'].items():
            scores, expected = released.results[key].scores[f'checkpoint_{number}'], held['expected']
            if key in ('mer2023', 'meld'):
                pairs = [
                    (scores[f'HIT {a}'], expected['2025'][b])
                    for a, b in (('hit_rate', 'hitrate'), ('mscore', 'mscore'))
                ]
            else:
                pairs = [(scores['WAF'], expected['waf']), (scores['accuracy'], expected['acc'])]
            assert all(ours == pytest.approx(theirs, abs=1e-12) for ours, theirs in pairs)


def test_a_set_whose_labels_are_public_in_part_is_scored_but_in_no_mean(released):
    part = released.results['ovmerdplus']
    assert (part.samples, part.whole) == (332, False)
    assert 'ovmerdplus' not in released.rows[0].counted
    assert '332 of 532' in part.notes[0]
    # Spec: 65.86 at checkpoint 30 on the public part.
    assert 100 * part.headlines['checkpoint_000030'] == pytest.approx(65.86, abs=0.005)


def test_sets_without_predictions_are_named_as_absent(released):
    assert set(released.absent) == {'mer2024', 'iemocap', 'cmumosei', 'simsv2'}
    assert len(released.rows[0].counted) == 4


def test_the_mean_protocol_is_the_plain_mean_and_sample_deviation(released):
    # The seven published hit rates of MER2023, from the released outputs.
    values = [72.55, 76.79, 73.44, 74.64, 78.54, 75.70, 73.69]
    row = released.rows[1]
    assert 100 * row.scores['mer2023'] == pytest.approx(np.mean(values), abs=0.01)
    assert 100 * row.sds['mer2023'] == pytest.approx(np.std(values, ddof=1), abs=0.01)


def test_the_best_single_checkpoint_says_that_it_was_chosen_on_test_data(released):
    single = released.rows[2]
    assert single.chosen_on_test
    assert len(set(single.checkpoints.values())) == 1
    assert single.mean <= released.rows[-1].mean


def test_a_constant_answer_reaches_a_hundred_per_cent_of_hits(released):
    assert released.results['meld'].floor == 1.0
    assert released.results['mer2023'].floors['angry, worried'] == pytest.approx(0.5186, abs=5e-5)


def test_intervals_hold_the_value_and_are_wider_where_dialogues_are_drawn(released, stored, table_2025):
    fixed = released.rows[0]
    for key, held in fixed.intervals.items():
        assert held.low < fixed.scores[key] < held.high
    # 2,610 utterances lie in 280 dialogues, so fewer things are independent than there are samples.
    groups = {set_named('meld').group(f'test_dia{number}_utt{turn}') for number in (1, 2) for turn in (0, 1)}
    assert len(groups) == 2


def test_all_nine_sets_are_scored_and_averaged(nine, table_2025, rng):
    outcome = run_unibench(*nine, table=table_2025, rng=rng, checkpoint='1', resamples=50)
    assert outcome.absent == {}
    assert list(outcome.results) == [each.key for each in UNIBENCH]
    fixed = outcome.rows[0]
    assert fixed.how == 'declared beforehand'
    assert fixed.counted == tuple(each.key for each in UNIBENCH)
    # The right answers always hit; *happy* is of positive, *sad* of negative valence, so derived sentiment is right.
    assert fixed.mean == pytest.approx(1.0, abs=1e-12)
    assert all('derived' in outcome.results[key].sentiment for key in ('cmumosi', 'cmumosei', 'sims', 'simsv2'))


def test_the_last_checkpoint_is_the_fixed_one_unless_one_is_declared(three, table_2025, rng):
    outcome = run_unibench(*three, table=table_2025, rng=rng, resamples=0, sets=['mer2023', 'sims'])
    assert outcome.rows[0].checkpoints == {'mer2023': 'checkpoint_2', 'sims': 'checkpoint_2'}
    assert math.isnan(outcome.rows[0].mean_interval.low)


def test_settings_that_lie_beside_a_table_are_no_checkpoint(tmp_path):
    for name in ('a.csv', 'a.csv.settings.json', 'settings.json', 'b.json', 'notes.txt'):
        (tmp_path / name).write_text('{}')
    assert [path.name for path in prediction_files(tmp_path)] == ['a.csv', 'b.json']


def test_a_dev_set_chooses_and_is_in_no_mean_of_its_row(three, table_2025, rng):
    outcome = run_unibench(*three, table=table_2025, rng=rng, resamples=0, sets=['mer2023', 'sims'], dev='mer2023')
    single = outcome.rows[2]
    assert (single.chosen_on_test, single.counted, single.checkpoints['sims']) == (False, ('sims',), 'checkpoint_1')


def test_one_checkpoint_has_one_protocol(three, table_2025, rng):
    predictions, labels = three
    (predictions / 'sims' / 'checkpoint_2.csv').unlink()
    outcome = run_unibench(predictions, labels, table=table_2025, rng=rng, resamples=0, sets=['sims'])
    assert [row.protocol for row in outcome.rows] == ['fixed']


def test_checkpoints_that_a_set_lacks_are_left_out_and_named(three, table_2025, rng):
    predictions, labels = three
    (predictions / 'sims' / 'checkpoint_2.csv').unlink()
    outcome = run_unibench(predictions, labels, table=table_2025, rng=rng, resamples=0, sets=['sims', 'meld'])
    assert outcome.checkpoints == ('checkpoint_1',)
    assert "meld: '2' left out" in outcome.notes[0]


def test_sets_without_a_checkpoint_in_common_are_refused(three, table_2025, rng):
    predictions, labels = three
    (predictions / 'sims' / 'checkpoint_2.csv').unlink()
    (predictions / 'meld' / 'checkpoint_1.csv').unlink()
    with pytest.raises(TableError, match='one checkpoint that every set has'):
        run_unibench(predictions, labels, table=table_2025, rng=rng, sets=['sims', 'meld'])


@pytest.mark.parametrize('kind', ['jsonl', 'parquet', 'npz'])
def test_predictions_of_every_kind_of_file_score_alike(kind, tmp_path, table_2025, rng):
    import pyarrow
    from pyarrow import parquet

    names, openset = ['a', 'b', 'c'], ['[happy]', '[sad]', '[angry]']
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'mer2023.csv').write_text('name,label\na,happy\nb,sad\nc,sad\n')
    folder = tmp_path / 'predictions' / 'mer2023'
    folder.mkdir(parents=True)
    if kind == 'jsonl':
        rows = [json.dumps({'name': n, 'openset': o}) for n, o in zip(names, openset, strict=True)]
        (folder / 'one.jsonl').write_text('\n'.join(rows))
    elif kind == 'parquet':
        parquet.write_table(pyarrow.table({'name': names, 'openset': openset}), folder / 'one.parquet')
    else:
        np.savez(folder / 'one.npz', name=names, openset=openset)
    outcome = run_unibench(tmp_path / 'predictions', tmp_path / 'labels', table=table_2025, rng=rng, resamples=0)
    # Two of three are right on every wheel.
    assert outcome.results['mer2023'].headlines == {'one': pytest.approx(2 / 3)}
    assert math.isnan(outcome.rows[0].mean)


def test_measures_equal_the_scores_of_the_metrics_room(rng, table_2025):
    words = ['happy', 'sad', 'angry', 'worried', 'surprised', 'neutral', 'nonsense']
    truth = {str(index): words[index % 6] for index in range(60)}
    answers = {name: list(rng.choice(words, size=rng.integers(0, 4), replace=False)) for name in truth}
    hits = hit_rates(truth, answers, table_2025)['HIT']
    scores = measure_basic(truth, answers, table_2025).scores()
    assert (scores['HIT hit_rate'], scores['HIT mscore']) == pytest.approx((hits.hit_rate, hits.mscore), abs=1e-15)
    fine = measure_fine_grained(truth, answers, table_2025).scores()
    assert fine['EW-L1 f'] == set_scores(truth, answers, table_2025)['EW-L1'].f
    sign = {name: float(rng.integers(-1, 2)) for name in truth}
    said = {name: str(rng.choice(['positive', 'negative', 'neutral', 'mixed'])) for name in truth}
    expected = sentiment_scores(sign, said)
    measured = measure_sentiment(sign, said)
    assert measured.scores()['WAF'] == pytest.approx(expected.weighted_f1, abs=1e-15)
    assert measured.scores()['accuracy'] == pytest.approx(expected.accuracy, abs=1e-15)
    assert measured.facts['unread'] == expected.unread


def test_weighted_f1_of_three_hits_a_miss_and_a_false_alarm():
    # Positive: 3 true, 2 found, 1 false alarm: F1 = 4/6. Negative: 2 true, 1 right: F1 = 2/4. (3 · 2/3 + 2 · 1/2) / 5.
    truth = {'a': 1.0, 'b': 0.4, 'c': 2.0, 'd': -1.0, 'e': -0.2, 'f': 0.0}
    said = {'a': 'positive', 'b': 'positive', 'c': 'neutral', 'd': 'positive', 'e': 'negative', 'f': 'positive'}
    assert measure_sentiment(truth, said).value() == pytest.approx(3 / 5)


def test_sentiment_derived_from_labels_is_the_sign_of_their_mean_valence():
    found = derived_sentiment(
        {'a': '[happy, joyful]', 'b': '[furious]', 'c': '[qwertz]', 'd': '', 'e': '[positive, qwertz]'},
        load_table('affekt'),
    )
    assert found == {'a': 'positive', 'b': 'negative', 'c': 'neutral', 'd': 'neutral', 'e': 'positive'}


def test_derived_sentiment_comes_near_the_language_model_of_the_release(shared_data):
    table = load_table('affekt')
    held = json.loads((shared_data / 'vectors' / 'ov' / 'unibench_sims.json').read_text())
    answers = held['checkpoints']['000030']
    words = derived_sentiment(answers['openset'], table)
    same = np.mean([words[name] == answers['sentiment'][name] for name in held['gt']])
    assert same > 0.9


def test_official_label_archives_give_the_published_sizes(shared_data):
    sizes = {}
    for each in UNIBENCH:
        path = shared_data / 'merbench' / each.folder / each.file
        if path.is_file():
            sizes[each.key] = len(read_labels_of(each, path))
    assert sizes == {each.key: each.samples for each in UNIBENCH if each.key not in ('mer2024', 'ovmerdplus')}


def test_official_labels_equal_the_stored_ones(shared_data):
    for key in ('mer2023', 'meld', 'cmumosi', 'sims'):
        each = set_named(key)
        held = json.loads((shared_data / 'vectors' / 'ov' / f'unibench_{key}.json').read_text())['gt']
        assert read_labels_of(each, shared_data / 'merbench' / each.folder / each.file) == held


def test_means_of_published_rows_are_those_that_the_paper_prints():
    for row in published('unibench').rows:
        means = np.mean([row.scores[each.key] for each in UNIBENCH])
        assert means == pytest.approx(row.scores['mean'], abs=0.6e-4)


@pytest.mark.parametrize(
    ('spoil', 'error', 'said'),
    [
        (lambda p, q: shutil.rmtree(p), TableError, 'a folder of predictions; got nothing'),
        (lambda p, q: shutil.rmtree(q), TableError, 'a folder of labels; got nothing'),
        (lambda p, q: (shutil.rmtree(p), p.mkdir()), TableError, 'an empty folder'),
        (lambda p, q: (shutil.rmtree(q), q.mkdir()), TableError, 'none of them in'),
        (lambda p, q: (p / 'results-melt').mkdir(), UnknownNameError, 'results-melt'),
        (lambda p, q: _drop_row(p / 'sims' / 'checkpoint_1.csv'), TableError, "none for 'sims_dia114_456'"),
        (lambda p, q: _repeat_row(p / 'sims' / 'checkpoint_1.csv'), TableError, 'more than once'),
        (lambda p, q: _add(p / 'sims' / 'checkpoint_1.csv', 'other,[sad]'), TableError, "others too: 'other'"),
        (lambda p, q: _add(p / 'sims' / 'checkpoint_1.csv', 'a,b,c'), TableError, '3 cells in row'),
        (lambda p, q: (p / 'sims' / 'checkpoint_1.csv').write_bytes(b'\xff\xfe'), TableError, 'byte-order mark'),
        (lambda p, q: (p / 'sims' / 'checkpoint_1.csv').write_text('name,openset\n'), TableError, 'without any'),
        (lambda p, q: (p / 'sims' / 'checkpoint_1.csv').write_text('name,reason\na,b\n'), TableError, 'openset'),
        (lambda p, q: (p / 'sims' / 'checkpoint_3-openset.npz').write_bytes(b'PK\x03\x04'), ArchiveError, 'whole'),
        (lambda p, q: _add(q / 'meld.csv', 'x,ecstatic'), TableError, "label 'ecstatic'"),
        (lambda p, q: _add(q / 'meld.csv', 'x,' + '9' * 400), TableError, 'correct the label file'),
        (lambda p, q: _add(q / 'sims.csv', 'x,much'), TableError, 'is no number'),
        (lambda p, q: _add(q / 'sims.csv', 'x,nan'), TableError, 'outside'),
        (lambda p, q: shutil.copytree(p / 'sims', p / 'results-sims'), TableError, 'one folder for CH-SIMS'),
        (lambda p, q: shutil.copytree(p / 'sims', p / 'meld' / 'model'), TableError, 'one model'),
        (lambda p, q: _copy(q / 'sims.csv', q / 'sims' / 'labels.csv'), TableError, 'one label file'),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(spoil, error, said, three, table_2025, rng):
    spoil(*three)
    with pytest.raises(error) as caught:
        run_unibench(*three, table=table_2025, rng=rng, resamples=0)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    'chosen', [{'sets': ['fer2013']}, {'checkpoint': '9'}, {'dev': 'fer2013'}, {'model': 'other'}], ids=str
)
def test_unknown_names_are_refused(chosen, three, table_2025, rng):
    with pytest.raises(AffektError):
        run_unibench(*three, table=table_2025, rng=rng, resamples=0, **chosen)


def _copy(path, to):
    to.parent.mkdir()
    shutil.copy(path, to)


def _add(path, line):
    path.write_text(path.read_text() + line + '\n')


def _drop_row(path):
    path.write_text('\n'.join(path.read_text().splitlines()[:-1]) + '\n')


def _repeat_row(path):
    _add(path, path.read_text().splitlines()[-1])


def test_the_command_prints_tables_of_eighty_columns(nine, shared_data):
    words = ['bench', 'unibench', '--predictions', str(nine[0]), '--labels', str(nine[1])]
    words += ['--tables', str(shared_data / 'wheels' / '2025'), '--resamples', '50']
    result = CliRunner().invoke(main, words, env={'COLUMNS': '80'})
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert '…' not in result.stdout
    assert '9 of 9' in result.stdout
    assert 'chosen on test data' in result.stdout


def test_without_a_whole_set_there_is_no_mean_and_nothing_published_beside_it(tmp_path):
    for checkpoint in ('1', '2'):
        path = tmp_path / 'predictions' / 'meld' / f'{checkpoint}.csv'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('name,openset\ndia0_utt0,"[\'happy\']"\ndia0_utt1,"[\'sad\']"\n')
    (tmp_path / 'meld.csv').write_text('name,label\ndia0_utt0,joy\ndia0_utt1,sadness\n')
    words = ['bench', 'unibench', '--predictions', str(tmp_path / 'predictions'), '--labels', str(tmp_path)]
    result = CliRunner().invoke(main, [*words, '--tables', 'affekt', '--resamples', '20'], env={'COLUMNS': '80'})
    assert result.exit_code == 0, result.output
    assert 'mean  0 of 9' in result.stdout
    assert 'nan' not in result.stdout
    assert 'published, 0 sets' not in result.stdout


def test_the_command_prints_one_json_object_and_saves_it(three, shared_data, tmp_path):
    words = ['bench', 'unibench', '--predictions', str(three[0]), '--labels', str(three[1]), '--set', 'sims', '--json']
    words += ['--tables', str(shared_data / 'wheels' / '2025'), '--resamples', '20', '--out', str(tmp_path / 'out')]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts['rows'][0]['mean_of'] == '1 of 9'
    assert json.loads((tmp_path / 'out' / 'unibench.json').read_text()) == facts
    settings = json.loads((tmp_path / 'out' / 'settings.json').read_text())
    assert settings['settings']['sets'] == ['sims']
    assert len(settings['inputs']) == 3


def test_the_command_ends_with_two_for_bad_input(tmp_path, shared_data):
    words = ['bench', 'unibench', '--predictions', str(tmp_path / 'x'), '--labels', str(tmp_path)]
    result = CliRunner().invoke(main, [*words, '--tables', str(shared_data / 'wheels' / '2025')])
    assert result.exit_code == 2
    assert 'a folder of predictions' in result.stderr


def test_facts_hold_every_checkpoint_and_no_label(released):
    text = json.dumps(unibench_facts(released), allow_nan=False)
    assert 'test_dia0_utt0' not in text
    assert text.count('"headline"') == 5 * 7


@pytest.mark.parametrize('value', [math.inf, -math.inf, math.nan, 1.5, 7, -1])
def test_a_number_that_is_none_of_a_label_is_refused(value, tmp_path):
    meld = set_named('MELD')
    assert _checked(meld, 'x', 1.0, tmp_path) == meld.emotions[1]
    with pytest.raises(TableError, match=r"sample 'x'.*correct the label file"):
        _checked(meld, 'x', value, tmp_path)


def test_two_label_files_are_named_by_their_places_though_one_is_a_link_that_leads_outside(tmp_path):
    folder, elsewhere = tmp_path / 'labels', tmp_path / 'elsewhere.csv'
    (folder / 'meld').mkdir(parents=True)
    for path in (folder / 'meld.csv', elsewhere):
        path.write_text('name,label\n')
    (folder / 'meld' / 'labels.csv').symlink_to(elsewhere)
    with pytest.raises(TableError, match=r"got 'meld/labels\.csv', 'meld\.csv'"):
        find_labels(set_named('meld'), folder)

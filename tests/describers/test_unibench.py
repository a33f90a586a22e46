"""MER-UniBench from a model to a score: answers kept, sets named as absent, several models compared."""

from __future__ import annotations

import json
import shutil

import layouts
import numpy as np
import pytest
from click.testing import CliRunner
from made_up_sets import hears, write_table

from affekt.benchmarks import read_labels_of, set_named
from affekt.cli import main
from affekt.describers import Classes, accuracy_of, sample_scores, unibench_clips
from affekt.describers.models import MOST_FAILED
from affekt.errors import UnknownNameError
from affekt.labels import load_table
from affekt.ranking import RankSettings, rank, read_comparisons


def run(*words: object):
    return CliRunner().invoke(main, ['bench', 'unibench', *map(str, words)], env={'COLUMNS': '80'})


@pytest.fixture
def wheels(shared_data):
    return shared_data / 'wheels' / '2025'


def asked(server, sets, tmp_path, wheels, *more):
    labels, media = sets
    return run(
        '--model', f'tuned={server.url}', '--labels', labels, '--media', media, '--out', tmp_path / 'run',
        '--tables', wheels, '--resamples', 200, *more,
    )  # fmt: skip


def test_a_model_on_a_server_becomes_scores_with_the_record_of_what_they_depend_on(server, sets, tmp_path, wheels):
    server.answer = hears
    result = asked(server, sets, tmp_path, wheels, '--check-sound', '--json')
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    model = facts['models']['tuned']
    scores = {key: each['checkpoints']['answers']['headline'] for key, each in model['sets'].items()}
    # every tone is told apart; *love* is positive, *hate* negative, 0 is dropped; *happy* and *afraid* are in the truth
    assert scores == {'meld': 1.0, 'sims': 1.0, 'ovmerdplus': 1.0}
    assert model['accuracy']['meld'] == {
        'accuracy': 1.0, 'unweighted_recall': 1.0, 'without_class': 0.0, 'majority': 0.25,
    }  # fmt: skip
    record = model['record']
    assert (record['model'], record['server'], record['prompt']) == ('tuned', 'openai', 'describe-2')
    assert {'versions', 'question', 'limits', 'label_reader', 'word_table_of_scores', 'inputs'} <= set(record)
    # without sound every answer is neutral, which is in no wheel: no hit, and 9 of 12 answers change; 3 are neutral
    silent = model['without_sound']['meld']
    assert silent['headline'] == 0.0
    assert silent['changed'] == 1.0  # also the sentence about the voice is gone
    assert set(facts['absent']['tuned']) == {'mer2023', 'mer2024', 'iemocap', 'cmumosi', 'cmumosei', 'simsv2'}
    beside = json.loads((tmp_path / 'run' / 'settings.json').read_text())
    assert {each['model'] for each in beside['records'].values()} == {'tuned'}
    again = run(
        '--predictions', tmp_path / 'run' / 'tuned' / 'predictions', '--labels', sets[0], '--tables', wheels, '--json'
    )
    assert json.loads(again.stdout)['sets']['meld']['checkpoints']['answers']['headline'] == 1.0


def test_refusals_are_answers_without_labels_whatever_they_say(server, sets, tmp_path, wheels):
    server.answer = lambda _: 'I am sorry, but I cannot judge how this person feels.'
    result = asked(server, sets, tmp_path, wheels, '--set', 'meld', '--no-probe', '--json')
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)['models']['tuned']['answers']['meld']
    assert counts == {'refusal': 12, 'without_label': 12, 'failed': 0}


def test_failed_clips_of_a_table_are_found_whatever_its_column_of_names_is_called(sets, tmp_path, wheels):
    labels, _ = sets
    names = list(read_labels_of(set_named('meld'), labels / 'meld.csv'))
    write_table(
        tmp_path / 'mine' / 'meld' / 'answers.csv', Filenames=names, openset=['', '', *['angry'] * (len(names) - 2)],
        How=['empty', 'prose', *['list'] * (len(names) - 2)], Failure=['no video', *[''] * (len(names) - 1)],
    )  # fmt: skip
    result = run('--model', f'mine={tmp_path / "mine"}', '--labels', labels, '--set', 'meld', '--tables', wheels,
                 '--out', tmp_path / 'run', '--resamples', 50, '--json')  # fmt: skip
    counts = json.loads(result.stdout)['models']['mine']['answers']['meld']
    assert counts == {'empty': 1, 'list': 10, 'prose': 1, 'without_label': 1, 'failed': 1}


def test_an_interrupted_run_asks_only_what_is_missing_and_comes_to_the_same_tables(server, sets, tmp_path, wheels):
    server.answer = hears
    assert asked(server, sets, tmp_path, wheels).exit_code == 0
    whole = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / 'run').rglob('answers.csv')}
    questions = len(server.questions)
    assert asked(server, sets, tmp_path, wheels).exit_code == 0
    assert len(server.questions) == questions
    shutil.rmtree(tmp_path / 'run')
    server.answer = lambda question: hears(question) if len(server.questions) < questions + 20 else (400, 'gone')
    broken = asked(server, sets, tmp_path, wheels)
    assert broken.exit_code == 2
    assert 'gone' in broken.output
    server.answer = hears
    assert asked(server, sets, tmp_path, wheels).exit_code == 0
    assert {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / 'run').rglob('answers.csv')} == whole
    # twice everything, and what was asked in vain: the most that may fail, and what was on its way
    assert len(server.questions) <= 2 * questions + MOST_FAILED + 3


def test_a_clip_whose_words_change_is_asked_about_again_and_the_others_are_not(server, sets, tmp_path, wheels):
    server.answer = hears
    asked(server, sets, tmp_path, wheels, '--set', 'sims')
    questions = len(server.questions)
    write_table(sets[1] / 'sims.csv', name=['v_1', 'v_2', 'w_1'], text=['I love it', 'I love it too', 'Well'])
    asked(server, sets, tmp_path, wheels, '--set', 'sims')
    assert len(server.questions) == questions + 1


def test_several_models_give_one_table_and_comparisons_that_rank_reads(server, sets, tmp_path, wheels):
    server.answer = hears
    names = [f'meld_dia{index // 4}_{index}' for index in range(12)]
    told = tmp_path / 'told'
    write_table(told / 'meld' / 'answers.csv', name=names, openset=["['angry']"] * 12)
    write_table(told / 'sims' / 'answers.csv', name=['v_1', 'v_2', 'w_1'], openset=["['sad']"] * 3)
    result = asked(server, sets, tmp_path, wheels, '--model', f'angry={told}', '--set', 'meld', '--set', 'sims')
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.splitlines() if not line.startswith('affekt rank')) <= 80
    for words in ('best constant', 'majority class', 'best constant WAF', 'Score per sample', 'tuned over angry'):
        assert words in result.stdout
    comparisons = read_comparisons(tmp_path / 'run' / 'comparisons.csv')
    # MELD: 9 samples with a sector, 3 of them angry and so a tie; sims: right on both against one of two
    won = {
        comparisons.items[left if outcome > 0 else right]
        for left, right, outcome in zip(comparisons.left, comparisons.right, comparisons.outcome, strict=True)
        if outcome
    }
    assert not comparisons.first.any()  # a truth is shown nothing first
    assert (won, np.sum(comparisons.outcome == 0), len(comparisons.outcome)) == ({'tuned'}, 4, 11)
    assert rank(comparisons, RankSettings(prior=1.0)).standings[0].item == 'tuned'


def test_a_set_that_no_model_has_is_named_once(server, sets, tmp_path, wheels):
    server.answer = hears
    told = tmp_path / 'told'
    write_table(told / 'sims' / 'answers.csv', name=['v_1', 'v_2', 'w_1'], openset=["['sad']"] * 3)
    more = ('--model', f'other={server.url}', '--model', f'sad={told}', '--limit', 2, '--no-probe', '--resamples', 20)
    said = ' '.join(asked(server, sets, tmp_path, wheels, *more).stdout.split())
    assert said.count('IEMOCAP absent') == 2
    assert 'IEMOCAP absent for tuned, other: no labels' in said
    assert 'IEMOCAP absent for sad: no predictions' in said
    few = ('--model', f'other={server.url}', '--limit', 2, '--no-probe', '--resamples', 20)
    assert asked(server, sets, tmp_path, wheels, *few).stdout.count('IEMOCAP absent: no labels') == 1


def test_a_trial_asks_about_the_first_clips_and_says_so(server, sets, tmp_path, wheels):
    server.answer = hears
    result = asked(server, sets, tmp_path, wheels, '--limit', 2, '--no-probe', '--set', 'meld', '--json')
    assert len(server.questions) == 2
    assert '2 of 2610 samples' in json.loads(result.stdout)['models']['tuned']['sets']['meld']['notes'][0]


def test_a_model_that_reads_labels_is_asked_once_for_each_description(server, sets, tmp_path, wheels):
    def answer(question):
        system = question['messages'][0]
        return '{"labels": ["sad"]}' if system['role'] == 'system' else hears(question)

    server.answer = answer
    more = ('--set', 'ovmerdplus', '--reader', server.url, '--reader-model', 'reads', '--json')
    facts = json.loads(asked(server, sets, tmp_path, wheels, *more).stdout)
    assert facts['models']['tuned']['sets']['ovmerdplus']['checkpoints']['answers']['headline'] == 0.0
    assert facts['models']['tuned']['record']['label_reader'].startswith('language model reads')


@pytest.mark.parametrize(
    ('more', 'why'),
    [
        ((), 'Give --model'), (('--model', 'm=http://127.0.0.1:9/v1', '--dev', 'meld'), '--dev goes with'),
        (('--predictions', 'x', '--model', 'a', '--model', 'b'), 'one folder below each set'),
        (('--model', 'm=nowhere'), 'check the path'),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_one_sentence(more, why, tmp_path):
    result = run('--labels', tmp_path, *more, '--tables', 'affekt')
    assert (result.exit_code, why in ' '.join(result.output.split())) == (2, True)


def test_the_class_of_an_answer_is_that_of_its_first_label_that_has_one(table_2025):
    classes = Classes(set_named('meld').emotions, table_2025)
    assert classes.of_label('joy') == 'joy'
    assert classes.of_label('furious') == 'anger'
    assert classes.of_label('florbed') is None
    assert classes.of_answer("['florbed', 'furious', 'joy']") == 'anger'
    assert classes.of_answer('[]') is None
    truth = {'a': 'anger', 'b': 'anger', 'c': 'joy', 'd': 'neutral'}
    answers = {'a': ['furious'], 'b': ['joy', 'anger'], 'c': ['joy'], 'd': ['florbed']}
    own = accuracy_of(set_named('meld'), truth, answers, table_2025)
    # anger 1 of 2, joy 1 of 1, neutral 0 of 1
    assert (own.accuracy, own.unweighted_recall, own.without_class, own.majority) == (0.5, 0.5, 0.25, 0.5)


def test_a_label_too_many_costs_in_the_score_of_a_sample_and_not_in_a_hit(table_2025):
    meld = set_named('meld')
    one = sample_scores(meld, {'a': 'joy'}, {'a': ['happy']}, table_2025)['a']
    many = sample_scores(meld, {'a': 'joy'}, {'a': ['happy', 'sad', 'angry']}, table_2025)['a']
    assert one == 1.0
    assert many == pytest.approx(0.5, abs=0.01)  # 2 / (1 + 3) on each wheel
    assert sample_scores(meld, {'a': 'neutral'}, {'a': ['neutral']}, table_2025) == {}
    assert load_table('affekt').published


@pytest.mark.parametrize(
    ('key', 'corpora', 'entry'),
    [
        ('meld', 'test_corpus', {'emo': 1, 'val': -10}), ('cmumosi', 'test_corpus', {'emo': 0, 'val': 1.5}),
        ('sims', 'test_corpus', {'emo': 0, 'val': 0.5}), ('mer2023', 'test1_corpus', {'emo': 2, 'val': -10}),
        ('iemocap', 'whole_corpus', {'emo': 1, 'val': -10}),
    ],
)  # fmt: skip
def test_clips_and_words_of_a_set_come_from_its_release(tmp_path, key, corpora, entry):
    each = set_named(key)
    names = [f'{each.prefix or "v"}F_impro01_F00{number}' for number in range(3)]
    layouts.archive(tmp_path / each.folder / each.file, **{corpora: dict.fromkeys(names, entry)})
    layouts.transcripts(tmp_path / each.folder, names)
    layouts.write(tmp_path / each.folder / 'subvideo' / f'{names[1]}.mp4')
    clips = unibench_clips(each, tmp_path, names[::-1])
    assert clips.names == tuple(names[::-1])
    assert [row.text for row in clips.samples] == [f'say {name}' for name in names[::-1]]
    assert clips.samples[1].video == f'subvideo/{names[1]}.mp4'
    assert list(read_labels_of(each, tmp_path / each.folder / each.file)) == names


def test_a_set_of_other_samples_is_refused_by_name(tmp_path):
    write_table(tmp_path / 'sims.csv', name=['other'], text=['x'])
    with pytest.raises(UnknownNameError, match='samples with the names of the labels'):
        unibench_clips(set_named('sims'), tmp_path, ['v_1'])
    assert unibench_clips(set_named('meld'), tmp_path, ['a']) is None


def test_the_record_beside_predictions_goes_into_other_scores_too(tmp_path):
    truth = write_table(tmp_path / 'truth.csv', name=['a', 'b'], openset=["['sad']", "['happy']"])
    told = write_table(tmp_path / 'm' / 'p.csv', name=['a', 'b'], openset=["['sad']", "['sad']"])
    (tmp_path / 'm' / 'record.json').write_text('{"weights_sha256": "abc"}')
    words = ['score', 'openvocab', '--truth', str(truth), '--prediction', str(told), '--resamples', '10', '--json']
    assert json.loads(CliRunner().invoke(main, words).stdout)['records'] == {str(told): {'weights_sha256': 'abc'}}
    words = [
        'bench', 'ovmer', '--truth', str(truth), '--predictions', str(told), '--tables', 'affekt', '--resamples', '10',
        '--out', str(tmp_path / 'o'), '--json',
    ]  # fmt: skip
    assert CliRunner().invoke(main, words).exit_code == 0
    saved = json.loads((tmp_path / 'o' / 'settings.json').read_text())
    assert saved['records'] == {str(told): {'weights_sha256': 'abc'}}

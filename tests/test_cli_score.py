"""affekt score: what it prints, what it refuses, and the same in JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from affekt.cli import main


def _file(folder, name, rows):
    path = folder / name
    path.write_text('name,openset\n' + ''.join(f'{sample},"{answer}"\n' for sample, answer in rows.items()))
    return path


@pytest.fixture
def files(tmp_path):
    truth = {'a': '[happy, excited]', 'b': '[sad]', 'c': '[neutral]', 'd': '[worried, tense]'}
    return (
        _file(tmp_path, 'truth.csv', truth),
        _file(tmp_path, 'mine.csv', {'a': '[joyful]', 'b': '[gloomy]', 'c': '[neutral]', 'd': '[anxious, zorbled]'}),
        _file(tmp_path, 'theirs.csv', dict.fromkeys(truth, '[angry]')),
    )


def _run(*words):
    result = CliRunner().invoke(main, ['score', *map(str, words)], env={'COLUMNS': '80'})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_score_names_the_table_the_ceiling_and_the_unknown_words_in_eighty_columns(files):
    truth, mine, _ = files
    result = _run('openvocab', '--truth', truth, '--prediction', mine, '--resamples', 50)
    assert result.exit_code == 0
    assert 'table affekt (version' in result.output
    assert 'no constant can exceed' in result.output
    assert 'zorbled' in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_same_in_json_is_one_object_without_nan(files):
    truth, mine, theirs = files
    words = ['openvocab', '--truth', truth, '--prediction', mine, '--against', theirs, '--resamples', 20, '--json']
    held = json.loads(_run(*words).output, parse_constant=lambda name: pytest.fail(f'{name} in JSON'))
    assert held['samples'] == 4
    # own sectors: a joy, b sadness, c neutral all right; d is fear and the stranger zorbled: P 1/2, R 1, F1 2/3
    assert held['metrics']['affekt-L1']['f1']['value'] == pytest.approx((1 + 1 + 1 + 2 / 3) / 4)
    assert held['prediction']['unknown'] == {'zorbled': 1}
    assert held['difference']['affekt-L1 f1']['value'] > 0.5


def test_official_mode_shows_every_wheel(files):
    truth, mine, _ = files
    result = _run('openvocab', '--truth', truth, '--prediction', mine, '--mode', 'official', '--resamples', 20)
    assert all(row in result.output for row in ('M1', 'W5-L2', 'EW-L1', 'M-avg'))


def test_missing_extra_and_doubled_names_are_named(files, tmp_path):
    truth, _, _ = files
    other = _file(tmp_path, 'other.csv', {'a': '[sad]', 'z': '[sad]'})
    result = _run('openvocab', '--truth', truth, '--prediction', other)
    assert result.exit_code == 2
    assert "3 without a prediction ('b', 'c', 'd')" in result.output
    assert "1 that the truth does not have ('z')" in result.output
    (tmp_path / 'twice.csv').write_text('name,openset\na,sad\na,happy\n')
    result = _run('openvocab', '--truth', truth, '--prediction', tmp_path / 'twice.csv')
    assert result.exit_code == 2
    assert "'a' more than once" in result.output


def test_a_subset_of_the_predictions_can_be_scored(files, tmp_path):
    _, _, theirs = files
    part = _file(tmp_path, 'part.csv', {'a': '[happy]'})
    assert _run('openvocab', '--truth', part, '--prediction', theirs).exit_code == 2
    assert _run('openvocab', '--truth', part, '--prediction', theirs, '--subset', '--resamples', 10).exit_code == 0


def test_an_unknown_table_lists_the_known_ones(files):
    truth, mine, _ = files
    result = _run('openvocab', '--truth', truth, '--prediction', mine, '--tables', '2024')
    assert result.exit_code == 2
    assert 'affekt, 2025, 2026' in result.output


def test_one_answer_is_folded_step_by_step():
    result = _run('words', "The character's emotional state is happy, a bit worried and zorbled.")
    assert 'read as template: happy · worried · zorbled' in result.output
    assert 'happiness → joy' in result.output
    assert 'valence +0.81' in result.output
    assert 'not in the table' in result.output
    held = json.loads(_run('words', '[fear]', '--json').output)
    assert held['labels']['fear']['folds']['affekt-L1'] == 'fear'


def test_the_published_parser_is_shown_in_official_mode():
    assert 'read as the published parser: sad].' in _run('words', '[sad].', '--mode', 'official').output


@pytest.mark.parametrize(
    ('mode', 'empty', 'says'),
    [('consistent', 1, 'which is left out'), ('official', 0, 'whose words the published parser reads as labels')],
)
def test_thinking_aloud_is_counted_and_left_out_of_consistent_scores_alone(files, tmp_path, mode, empty, says):
    truth, _, _ = files
    answers = {
        'a': '<think>sad or angry</think><answer>happy, excited</answer>',
        'b': '<think>sad, surely',
        'c': '[neutral]',
        'd': 'anxious?</think>[worried, tense]',
    }
    mine = _file(tmp_path, 'thinking.csv', answers)
    words = ('openvocab', '--truth', truth, '--prediction', mine, '--resamples', 50, '--mode', mode)
    prediction = json.loads(_run(*words, '--json').output)['prediction']
    assert (prediction['with_thinking'], prediction['empty_answers']) == (3, empty)
    assert f'3 answers hold what the model thought aloud, {says}' in _run(*words).output
    if mode == 'consistent':
        plain = dict(zip(answers, ('[happy, excited]', '', '[neutral]', '[worried, tense]'), strict=True))
        without = _file(tmp_path, 'plain.csv', plain)
        words = ('openvocab', '--truth', truth, '--resamples', 50, '--json', '--prediction')
        assert json.loads(_run(*words, without).output)['metrics'] == json.loads(_run(*words, mine).output)['metrics']

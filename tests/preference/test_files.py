"""Preferences from file to file: pairs in every shape, controlled errors, MER-Prefer, the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from made_up_preferences import WordHashes, emoprefer_like

from affekt.challenges.prefer import (
    check_prefer_submission,
    read_preferences,
    score_prefer,
    write_prefer_submission,
)
from affekt.cli import main
from affekt.errors import ComparisonError, TableError, WeightsError
from affekt.labels import load_table
from affekt.labels.prose import labels_in_prose
from affekt.preference import embedding
from affekt.preference import model as preference
from affekt.preference.controlled_errors import controlled_errors
from affekt.preference.files import (
    evaluate_file,
    predict_file,
    read_sample_features,
    read_verdicts,
    train_file,
)
from affekt.preference.pairs import OFFICIAL, Pairs, read_pairs
from affekt.runs import file_sha256
from affekt.tables import reading_notes

DESCRIPTIONS = {
    'a': 'He smiles broadly. His tone is cheerful and he seems very happy. The text "I am so angry!" is a joke.',
    'b': 'She frowns and shouts. Her tone is angry and she seems very furious about the delay.',
    'c': 'With wide eyes he looks delighted. There is a sense of joy in his voice.',
    'd': 'His fists are clenched; he is annoyed and there is a sense of rage in his voice.',
}


def _emoprefer_csv(pairs: Pairs, path, *, judged: bool = True, models: bool = True):
    head = ['name', 'a1', 'a2', *(['preference'] if judged else []), *(['model1', 'model2'] if models else [])]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for at in range(len(pairs)):
            said = [OFFICIAL[int(pairs.truth[at])]] if judged else []
            who = [pairs.left_source[at], pairs.right_source[at]] if models else []
            writer.writerow([pairs.names[at], pairs.left[at], pairs.right[at], *said, *who])
    return path


def test_emoprefer_files_are_read_with_and_without_models_and_preferences(tmp_path):
    pairs = emoprefer_like(20, 1)
    whole = read_pairs(_emoprefer_csv(pairs, tmp_path / 'whole.csv'))
    assert whole.left == pairs.left
    assert np.array_equal(whole.truth, pairs.truth)
    assert whole.left_source == pairs.left_source
    bare = read_pairs(_emoprefer_csv(pairs, tmp_path / 'bare.csv', judged=False, models=False))
    assert bare.outcome is None
    assert bare.left_source == ()
    with pytest.raises(ComparisonError, match='add the column preference'):
        read_pairs(tmp_path / 'bare.csv', judged=True)


def test_pandalm_is_read_with_votes_sources_and_prompts(shared_data):
    path = shared_data / 'preferences' / 'pandalm_testset-v1.json'
    if not path.exists():
        pytest.skip('PandaLM is absent')
    pairs = read_pairs(path)
    assert len(pairs) == 999
    assert pairs.votes.shape == (999, 3)
    assert len(set(pairs.groups.tolist())) == 170
    # the first row: annotators say 2, 2, 2; cmp_key is bloom-7b_llama-7b
    assert (pairs.truth[0], pairs.left_source[0], pairs.right_source[0]) == (-1, 'bloom-7b', 'llama-7b')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('name,a1,a2,preference\nx,one,two,both\n', "'both' in row 2"),
        ('name,a1,a2,preference\nx,one,two,a1\ny,one,two\n', 'row 3'),
        ('name,a1,a2,preference,model1\nx,one,two,a1,m\n', 'both columns model1 and model2'),
        ('name,a1,a2,preference,model1,model2\nx,one,two,a1,m,\n', 'row 2'),
        ('name,first,second\nx,one,two\n', 'columns a1, a2'),
        ('name,a1,a2\n', 'at least one pair'),
    ],
)
def test_a_malformed_file_of_pairs_is_one_error_with_its_row(tmp_path, text, said):
    path = tmp_path / 'pairs.csv'
    path.write_text(text)
    with pytest.raises(ComparisonError, match=said):
        read_pairs(path)


def test_controlled_errors_exchange_words_of_feeling_and_nothing_else():
    pairs = controlled_errors(DESCRIPTIONS, rng=np.random.default_rng(0), versions=3)
    assert pairs.names
    table = load_table('affekt')
    sectors = table.fold('affekt-L1', 'consistent')
    for name, left, right, side in zip(pairs.names, pairs.left, pairs.right, pairs.truth, strict=True):
        real, wrong = (left, right) if side == 1 else (right, left)
        assert real == DESCRIPTIONS[name]
        found = [labels_in_prose(text, table.bases) for text in (real, wrong)]
        assert len(found[0]) == len(found[1])
        assert {sectors[word] for word in found[0]} != {sectors[word] for word in found[1]}
        assert ('I am so angry!' in wrong) == ('I am so angry!' in real)
    reworded = controlled_errors(DESCRIPTIONS, rng=np.random.default_rng(0), versions=3, reworded=True)
    texts = set(DESCRIPTIONS.values())
    assert len(reworded)
    assert not texts & {*reworded.left, *reworded.right}
    again = controlled_errors(DESCRIPTIONS, rng=np.random.default_rng(0), versions=3)
    assert (again.left, again.right) == (pairs.left, pairs.right)
    with pytest.raises(ComparisonError, match='words of two feelings'):
        controlled_errors({'a': 'A table.', 'b': 'A chair.'}, rng=np.random.default_rng(0))


def test_on_real_descriptions_counting_does_not_tell_the_error(shared_data):
    path = shared_data / 'mer2024_ov' / 'final-EMER-reason.csv'
    if not path.exists():
        pytest.skip('the descriptions are absent')
    with path.open(encoding='utf-8-sig', newline='') as file:
        descriptions = {row['name']: row['english'] for row in csv.DictReader(file)}
    pairs = controlled_errors(descriptions, rng=np.random.default_rng(0))
    assert len(pairs) > 0.9 * len(descriptions)
    longer = np.sign([len(a) - len(b) for a, b in zip(pairs.left, pairs.right, strict=True)])
    assert abs(np.mean(longer * pairs.truth)) < 0.12


NAMES = ('s1', 's2', 's3')


def test_what_a_describer_thought_aloud_is_not_learned_from_and_is_noted(tmp_path):
    path = tmp_path / 'p.csv'
    path.write_text('name,a1,a2\nc1,<think>Sad?</think>Happy.,Calm.\nc2,<think>Sad,Calm.\n')
    with reading_notes() as notes:
        pairs = read_pairs(path)
    assert pairs.left == ('Happy.', '')
    assert notes == ['2 texts of p.csv hold what the model thought aloud, which is left out']


def test_a_submission_is_written_checked_and_scored(tmp_path):
    facts = write_prefer_submission(NAMES, np.array([1, -1, 0]), tmp_path / 'answer.csv')
    assert (tmp_path / 'answer.csv').read_text() == 'name,preference\ns1,a1\ns2,a2\ns3,same\n'
    assert facts.answers == {'a1': 1, 'a2': 1, 'same': 1}
    assert check_prefer_submission(tmp_path / 'answer.csv', NAMES) == facts
    # truth a1, a2, a2: same counts as a1, so accuracy 2/3; F1 of a1 2/3, of a2 2/3
    truth = {'s1': 1, 's2': -1, 's3': -1}
    found = score_prefer(truth, read_preferences(tmp_path / 'answer.csv'), rng=np.random.default_rng(0), resamples=50)
    assert found.waf.value == pytest.approx(2 / 3, abs=1e-15)
    assert found.accuracy.value == pytest.approx(2 / 3, abs=1e-15)
    assert found.even.value == pytest.approx(2.5 / 3, abs=1e-15)
    with pytest.raises(TableError, match="1 without: 's3'"):
        score_prefer(truth, {'s1': 1, 's2': 1}, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ('rows', 'said'),
    [
        ('s1,a1\ns2,a2\n', "1 candidate without an answer: 's3'"),
        ('s1,a1\ns2,a2\ns2,a1\ns3,a1\n', 'row 4: s2 again, first in row 3'),
        ('s1,a1\ns2,a2\ns3,a1\ns4,a1\n', 'row 5: s4 is no candidate'),
        ('s1,a1\ns2,a3\ns3,a1\n', "row 3: 'a3' is none of"),
        ('s1,a1\ns2\ns3,a1\n', 'row 3: 1 cells'),
        ('s1,a1\ns3,a1\ns2,a1\n', 'row 3: s2 belongs here'),
        (',a1\ns2,a1\ns3,a1\n', 'row 2: no name'),
    ],
)
def test_every_problem_of_a_submission_is_named_with_its_row(tmp_path, rows, said):
    path = tmp_path / 'answer.csv'
    path.write_text('name,preference\n' + rows)
    with pytest.raises(TableError, match=said):
        check_prefer_submission(path, NAMES)


def test_all_problems_of_a_submission_are_in_one_message(tmp_path):
    path = tmp_path / 'answer.csv'
    path.write_text('name,preference\ns1,left\ns1,a1\nx,a1\n')
    with pytest.raises(TableError, match='4 problems'):
        check_prefer_submission(path, ('s1', 's2'))
    with pytest.raises(TableError, match='does not end in'):
        write_prefer_submission(NAMES, np.array([1, 1, 1]), tmp_path / 'answer.txt')
    for verdicts in ([1, 1], [1, 1, 1, 1]):  # a surplus one would be left out, and those before it may be misplaced
        with pytest.raises(TableError, match='a preference for each of 3 candidates'):
            write_prefer_submission(NAMES, np.array(verdicts), tmp_path / 'answer.csv')


def test_features_of_clips_are_pooled_over_time(tmp_path):
    np.savez(tmp_path / 'clips.npz', s1=np.array([[1.0, 2.0], [3.0, 4.0]]), s2=np.array([5.0, 6.0]))
    found = read_sample_features(tmp_path / 'clips.npz')
    assert {name: values.tolist() for name, values in found.items()} == {'s1': [2.0, 3.0], 's2': [5.0, 6.0]}


@pytest.fixture
def words_instead_of_sentences(monkeypatch):
    """The command line with an embedder that needs no model file."""
    for module in (embedding, preference):
        monkeypatch.setattr(module, 'SentenceEmbedder', WordHashes)
    few = tuple(one for one in preference.GRID if one.blocks == ('surface',))[:2]
    monkeypatch.setattr(
        preference.train_preferences, '__kwdefaults__', {**preference.train_preferences.__kwdefaults__, 'grid': few}
    )


@pytest.mark.usefixtures('words_instead_of_sentences')
def test_the_command_line_trains_evaluates_predicts_and_checks(tmp_path):
    train = _emoprefer_csv(emoprefer_like(120, 1), tmp_path / 'train.csv')
    test = _emoprefer_csv(emoprefer_like(80, 2), tmp_path / 'test.csv')
    candidates = _emoprefer_csv(emoprefer_like(80, 2), tmp_path / 'candidates.csv', judged=False, models=False)
    model, answer = tmp_path / 'model', tmp_path / 'answer.csv'

    def run(*words: object) -> str:
        done = CliRunner(env={'COLUMNS': '80'}).invoke(main, ['prefer', *map(str, words)])
        assert done.exit_code == 0, done.output
        assert max(map(len, done.output.splitlines())) <= 80 or words[0] != 'evaluate' or '--json' in words
        return done.output

    assert 'may not use: length, source' in run('train', train, '--out', model, '--control', 'length,source')
    settings = json.loads((model / 'settings.json').read_text())['settings']
    assert settings['control'] == ['length', 'source']
    assert set(settings['inputs']) == {'train.csv'}
    assert 'in order: 80 preferences' in run('predict', model, candidates, '--out', answer) + run(
        'check', answer, '--candidates', candidates
    )
    assert 'longer text' in run('evaluate', model, test, '--resamples', 50)
    by_model = json.loads(run('evaluate', model, test, '--resamples', 50, '--learned-from', train, '--json'))
    by_file = json.loads(run('evaluate', answer, test, '--resamples', 50, '--learned-from', train, '--json'))
    assert by_file['judge']['views']['all pairs'].keys() == by_model['judge']['views']['all pairs'].keys()
    assert by_file['judge']['views']['all pairs']['waf2'] == by_model['judge']['views']['all pairs']['waf2']
    assert by_file['judge']['swap_consistency'] is None
    assert by_model['judge']['swap_consistency'] == 1.0
    scored = json.loads(run('score', answer, '--truth', test, '--json', '--resamples', 50))
    assert scored['waf']['value'] == pytest.approx(by_file['judge']['views']['all pairs']['waf2']['value'], abs=1e-12)
    assert 'weighted F1' in run('score', answer, '--truth', test, '--resamples', 50)


@pytest.mark.parametrize(
    'words',
    [
        ['train', 'absent.csv', '--out', 'm'],
        ['evaluate', 'absent.npz', 'pairs.csv'],
        ['evaluate', 'absent.csv', 'pairs.csv'],
        ['evaluate', 'other.csv', 'pairs.csv'],
        ['evaluate', 'absent.npz', 'pairs.csv', '--swapped', 'other.csv'],
        ['train', 'pairs.csv', '--out', 'm', '--control', 'mood'],
        ['check', 'absent.csv', '--candidates', 'pairs.csv'],
    ],
)
@pytest.mark.usefixtures('words_instead_of_sentences')
def test_bad_input_on_the_command_line_is_two_lines_and_exit_code_two(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    _emoprefer_csv(emoprefer_like(6, 1), tmp_path / 'pairs.csv')
    (tmp_path / 'other.csv').write_text('name,preference\nnobody,a1\n')
    done = CliRunner().invoke(main, ['prefer', *words])
    assert done.exit_code == 2, done.output
    assert 'Traceback' not in done.output


def test_functions_do_what_the_command_line_does(tmp_path):
    pairs = emoprefer_like(60, 1)
    path = _emoprefer_csv(pairs, tmp_path / 'pairs.csv')
    model = train_file(path, tmp_path / 'model', embedder=WordHashes())
    held, readings = predict_file(tmp_path / 'model', path, embedder=WordHashes())
    assert held.names == pairs.names
    assert np.array_equal(readings.score, model.predict_pairs(held).score)
    found = evaluate_file(tmp_path / 'model', path, embedder=WordHashes(), resamples=20)
    assert found.in_hindsight
    with pytest.raises(WeightsError):
        evaluate_file(tmp_path / 'model', path)


def test_the_record_of_a_model_has_every_input_though_two_files_share_a_name(tmp_path):
    pairs = emoprefer_like(60, 1)
    paths = [tmp_path / part / 'pairs.csv' for part in ('train', 'val')]
    for path, part in zip(paths, (pairs.take(np.arange(40)), pairs.take(np.arange(40, 60))), strict=True):
        path.parent.mkdir()
        _emoprefer_csv(part, path)
    train_file(paths[0], tmp_path / 'out', validation=paths[1], embedder=WordHashes())
    inputs = json.loads((tmp_path / 'out' / 'settings.json').read_text())['settings']['inputs']
    assert inputs == {str(path): file_sha256(path) for path in paths}


def test_verdicts_in_another_order_are_refused_by_the_row_of_their_file(tmp_path):
    path = tmp_path / 'pairs.csv'
    path.write_text('name,a1,a2,preference\nx,one,two,a1\nx,one,three,a2\ny,four,five,a1\n')
    pairs = read_pairs(path)
    rows = [{'name': name, 'preference': 'a1'} for name in ('x', 'y', 'x')]
    (tmp_path / 'verdicts.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    with pytest.raises(ComparisonError, match=r"'y' in row 2 of verdicts\.jsonl"):
        read_verdicts(tmp_path / 'verdicts.jsonl', pairs)
    (tmp_path / 'verdicts.csv').write_text('name,preference\nx,a1\n\ny,a1\nx,a1\n')
    with pytest.raises(ComparisonError, match=r"'y' in row 4 of verdicts\.csv"):
        read_verdicts(tmp_path / 'verdicts.csv', pairs)


def test_pairs_without_a_prompt_are_grouped_by_their_samples(tmp_path):
    votes = dict.fromkeys(('annotator1', 'annotator2', 'annotator3'), '1')
    texts = (('a', ''), ('b', ''), ('c', 'why'), ('d', 'why'))
    rows = [{'instruction': prompt, 'response1': text, 'response2': 'no', **votes} for text, prompt in texts]
    path = tmp_path / 'pairs.jsonl'
    path.write_text('\n'.join(map(json.dumps, rows)))
    assert read_pairs(path).groups.tolist() == ['1', '2', 'why', 'why']

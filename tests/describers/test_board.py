"""Describers on one leaderboard: labels, verdicts with and without bias, rules that read nothing, the page."""

from __future__ import annotations

import json
import re

import pytest
import seeing
from click.testing import CliRunner
from made_up_preferences import WordHashes, emoprefer_like
from made_up_sets import hears, write_table
from PIL import Image

from affekt.cli import main
from affekt.preference import embedding
from affekt.preference import model as preference_model
from affekt.preference.features import raw_features
from affekt.preference.model import PreferenceSettings, fit_preferences

CLIPS = [f'clip{number:02d}' for number in range(24)]
TRUE = ['happy', 'sad', 'angry']


def run(*words: object):
    return CliRunner().invoke(main, ['bench', 'describers', *map(str, words)], env={'COLUMNS': '80'})


@pytest.fixture
def told(tmp_path):
    """One describer that is right and brief, one that is long and right on every third clip, and the truth."""
    truth = [TRUE[number % 3] for number in range(24)]
    write_table(tmp_path / 'truth.csv', name=CLIPS, openset=[f"['{label}']" for label in truth])
    say = "The character's emotional state is {}.{}".format
    write_table(tmp_path / 'right.csv', name=CLIPS, description=[say(label, '') for label in truth])
    padded = [say('angry', ' The room is large, the table is brown, the window is open.') for _ in CLIPS[:-4]]
    write_table(tmp_path / 'long.csv', name=CLIPS[:-4], description=padded)
    return tmp_path


def longer_wins(question):
    """A judge that prefers the longer text, whichever is shown first."""
    text = question['messages'][-1]['content']
    texts = json.loads(next(line for line in text.split('\n') if line.startswith('{"a1"')))
    return json.dumps({'verdict': 'a1' if len(texts['a1']) > len(texts['a2']) else 'a2'})


def board(told, *more):
    result = run(
        f'right={told / "right.csv"}', f'long={told / "long.csv"}', '--truth', told / 'truth.csv', '--tables', 'affekt',
        '--resamples', 200, '--out', told / 'run', *more,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads((told / 'run' / 'board.json').read_text())


def test_tables_and_a_truth_give_scores_with_intervals_beside_the_best_constant_answer(told):
    shown, facts = board(told)
    assert facts['headline'] == 'By labels right is best.'
    assert facts['labels']['systems']['right']['score'] == 1.0
    # *angry* on every third of the first 20 clips: 6 of 24, and nothing on the last four
    assert facts['labels']['systems']['long']['score'] == pytest.approx(6 / 24, abs=1e-12)
    assert (facts['clips'], facts['described_by_all']) == (24, 20)
    assert '4 of 24 clips are not described by every describer' in facts['notes']
    assert 'best constant' in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith('page')) <= 80
    assert (told / 'run' / 'board.md').read_text().startswith('# Describers compared\n')


def test_votes_without_lengths_are_not_said_to_be_free_of_their_effect(told):
    votes = [('right', 'long', ('left', 'left', 'right')[number % 3], name) for number, name in enumerate(CLIPS)]
    left, right, outcome, sample = map(list, zip(*votes, strict=True))
    order = ['left', 'right'] * 12
    write_table(told / 'order.csv', left=left, right=right, outcome=outcome, sample=sample, order=order)
    _, facts = board(told, '--votes', told / 'order.csv')
    page = (told / 'run' / 'board.html').read_text()
    assert 'by order, controlled for order,' in facts['headline']
    assert 'Controlled for order' in page
    assert 'The longer text won' not in page  # of these votes; nobody counted
    assert any(note.startswith('order: no lengths') for note in facts['notes'])


def test_a_judge_that_likes_length_stands_beside_the_rule_that_reads_nothing(told, server):
    server.answer = longer_wins
    shown, facts = board(told, '--judge', server.url, '--judge-model', 'tiny')
    judge, rule = facts['verdicts']
    assert (judge['source'], rule['source'], rule['is_reference']) == ('tiny s1', 'longer text', True)
    for source in (judge, rule):
        assert source['plain']['standings'][0]['item'] == 'long'
        assert [each['share'] for each in source['plain']['biases'] if each['name'] == 'length'] == [1.0]
    assert judge['judge']['first_wins']['value'] == 0.5
    assert judge['judge']['consistency']['value'] == 1.0
    assert any('undefeated' in note and 'weak prior' in note for note in facts['notes'])
    line = next(line for line in shown.splitlines() if line.startswith('longer text'))
    assert '(rule)' in line
    assert '100 %' in line
    questions = len(server.questions)
    board(told, '--judge', server.url, '--judge-model', 'tiny')
    assert len(server.questions) == questions  # answers are kept


def test_a_judge_that_takes_the_first_text_gives_ties_and_is_named_for_it(told, server):
    server.answer = lambda _: '{"verdict": "a1"}'
    shown, facts = board(told, '--judge', server.url, '--judge-model', 'tiny')
    judge = facts['verdicts'][0]
    assert judge['judge']['first_wins']['value'] == 1.0
    assert judge['judge']['disagreeing_orders'] == 20
    line = next(line for line in shown.splitlines() if line.startswith('tiny s1 ') and '100 %' in line)
    assert re.findall(r'\d+ %', line)[-2:] == ['100 %', '0 %']


def test_a_judge_that_sees_is_shown_the_clips_after_a_probe_and_the_verdicts_are_by_what_it_saw(told, server):
    clips = told / 'clips'
    clips.mkdir()
    for number, name in enumerate(CLIPS):
        colour = ('red', 'green', 'blue')[number % 3]
        Image.new('RGB', (64, 48), seeing.COLOURS[colour]).save(clips / f'{name}.png')
    feelings = {'red': 'happy', 'green': 'sad', 'blue': 'angry'}

    def sees(question):
        """Prefers the text with the feeling of the colour that it is shown."""
        parts = seeing.content_of(question)
        if 'verdict' not in parts[-1]['text']:
            return seeing.answer(question)
        pictures = [part for part in parts if part['type'] == 'image_url']
        feeling = feelings[seeing.colour_of(seeing.picture_in(pictures[0]))]
        texts = json.loads(next(line for line in parts[-1]['text'].split('\n') if line.startswith('{"a1"')))
        fits = [feeling in texts[name] for name in ('a1', 'a2')]
        return json.dumps({'verdict': 'same' if fits[0] == fits[1] else 'a1' if fits[0] else 'a2'})

    server.answer = sees
    _, facts = board(
        told, '--judge', server.url, '--judge-model', 'tiny', '--judge-sees', '--media', clips, '--no-sound'
    )
    judge = facts['verdicts'][0]
    assert judge['plain']['standings'][0]['item'] == 'right'
    asked = [question for question in server.questions if 'verdict' in seeing.content_of(question)[-1]['text']]
    assert len(asked) == 6  # three colours, each with its two texts in both orders: equal questions are asked once
    assert all(seeing.content_of(question)[0]['type'] == 'image_url' for question in asked)
    assert 'Which colour' in seeing.content_of(server.questions[1])[-1]['text']  # the probe came first


def test_a_learned_preference_model_is_one_more_judge_beside_the_rule_that_reads_nothing(told, monkeypatch):
    for module in (embedding, preference_model):
        monkeypatch.setattr(module, 'SentenceEmbedder', WordHashes)
    pairs = emoprefer_like(80, 1)
    settings = PreferenceSettings(('surface',))
    model = fit_preferences(pairs, raw_features(pairs, WordHashes()), settings, WordHashes())
    model.save(told / 'preference')
    shown, facts = board(told, '--preference', told / 'preference')
    learned, rule = facts['verdicts']
    assert (learned['source'], rule['source']) == ('preference preference', 'longer text')
    assert {each['item'] for each in learned['plain']['standings']} == {'right', 'long'}
    assert learned['judge']['consistency']['value'] == 1.0  # it cannot tell first from second
    assert 'preference preference' in ' '.join(shown.split())
    assert ' nan' not in shown
    glance = shown[shown.index('At a glance') : shown.index('Coverage')]
    assert 'labels [95 %]' in glance  # nothing is cut
    assert 'preference preference' in (told / 'run' / 'board.html').read_text()


def test_votes_are_ranked_as_they_stand_and_with_length_taken_out(told):
    rows = [('right', 'long', 'left' if number % 3 else 'right', CLIPS[number % 20], 37, 90 + number % 7) for number
            in range(60)]  # fmt: skip
    names = ('left', 'right', 'outcome', 'sample', 'left_length', 'right_length')
    votes = write_table(told / 'people.csv', **dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    shown, facts = board(told, '--votes', votes)
    (people,) = facts['verdicts']
    assert people['plain']['standings'][0]['item'] == 'right'
    assert people['plain']['settings']['control'] == []
    assert people['without_bias'] is None or people['without_bias']['settings']['control'] == ['length']
    assert 'Verdicts of people' in shown
    assert 'by people' in facts['headline']


def test_a_judge_that_prefers_its_own_descriptions_is_named_and_that_effect_taken_out(told):
    """The model *long* takes its own in 11 of 12, two others take it in 5 of 12: between them self-preference shows."""
    rows = [
        ('right', 'long', 'right' if number % 12 < (11 if rater == 'long s1' else 5) else 'left', name, rater,
         'left' if number % 2 else 'right', 37 + number % 3, 37 + number % 5)
        for rater in ('long s1', 'Ann', 'gemma s1') for number, name in enumerate(CLIPS)
    ]  # fmt: skip
    names = ('left', 'right', 'outcome', 'sample', 'rater', 'order', 'left_length', 'right_length')
    table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    _, facts = board(told, '--votes', write_table(told / 'judges.csv', **table))
    (verdicts,) = facts['verdicts']
    assert verdicts['without_bias']['settings']['control'] == ['length', 'own_model']
    plain, controlled = (
        next(each['strength'] for each in verdicts[which]['standings'] if each['item'] == 'long')
        for which in ('plain', 'without_bias')
    )
    # 42 of 72 against 10 of 24 for those who did not write it
    assert plain > 0 > controlled
    (own,) = [each for each in verdicts['plain']['biases'] if each['name'] == 'own_model']
    assert (own['share'], own['decided']) == (pytest.approx(22 / 24), 24)
    assert any('won 92 % of 24 decided verdicts; that effect is controlled for' in note for note in facts['notes'])
    assert 'Controlled for length, own model and order' in (told / 'run' / 'board.html').read_text()


def test_strengths_are_not_extrapolated_where_length_separates_winners_from_losers(told):
    """The text of *long* wins where it is much longer, and ties where it is longer by less."""
    rows = [
        ('right', 'long', 'right' if number % 3 else 'tie', name, 30, (95 if number % 3 else 88) + number % 2)
        for number, name in enumerate(CLIPS)
    ]
    names = ('left', 'right', 'outcome', 'sample', 'left_length', 'right_length')
    votes = write_table(told / 'all.csv', **dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    _, facts = board(told, '--votes', votes)
    strengths = [each['strength'] for each in facts['verdicts'][0]['without_bias']['standings']]
    assert max(map(abs, strengths)) < 3
    assert any('nearly separates winners' in note for note in facts['notes'])


def test_votes_that_join_no_groups_are_ranked_by_a_prior_and_the_note_says_why(told):
    rows = [('a', 'b'), ('b', 'a'), ('a', 'b'), ('c', 'd'), ('d', 'c'), ('c', 'd')]
    votes = write_table(
        told / 'apart.csv', left=[row[0] for row in rows], right=[row[1] for row in rows],
        outcome=['left'] * len(rows), sample=CLIPS[: len(rows)],
    )  # fmt: skip
    _, facts = board(told, '--votes', votes)
    notes = [note for note in facts['notes'] if 'weak prior' in note]
    assert notes == [
        'apart: no comparison joins these groups: a, b | c, d, so that only a weak prior keeps the strengths finite'
    ]


def test_one_judge_that_is_also_a_describer_is_named_by_its_name_on_the_server(told, server):
    server.answer = longer_wins
    _, facts = board(told, '--judge', server.url, '--judge-model', 'long')
    assert any(note.startswith('long s1: a rater compared descriptions of its own model, which won 100 % of 20') and
               'cannot tell' in note for note in facts['notes'])  # fmt: skip


def test_an_order_that_cannot_be_told_from_strength_is_not_controlled_for_and_that_is_said(told):
    """The text of *right* is always shown first, so that only length can be controlled for."""
    rows = [
        ('right', 'long', 'right' if number % 3 else 'left', name, 'left', 30, 30 + number % 5)
        for number, name in enumerate(CLIPS)
    ]
    names = ('left', 'right', 'outcome', 'sample', 'order', 'left_length', 'right_length')
    votes = write_table(told / 'first.csv', **dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    _, facts = board(told, '--votes', votes)
    settings = facts['verdicts'][0]['without_bias']['settings']
    assert (settings['control'], settings['order']) == (['length'], False)
    assert any(note.startswith('first: controlled for length, but not for order: ') for note in facts['notes'])


def test_the_page_shows_what_describers_wrote_as_text(told):
    write_table(told / 'long.csv', name=CLIPS, description=['He is <script>alert(1)</script> angry.'] * 24)
    board(told)
    page = (told / 'run' / 'board.html').read_text()
    assert '&lt;script&gt;alert(1)' in page
    assert '<script>alert' not in page
    assert 'Labels against the truth' in page
    assert page.count('<svg') >= 3


def test_a_model_on_a_server_is_asked_about_a_folder_of_clips_and_joins_unibench(told, server, sets, shared_data):
    server.answer = hears
    labels, media = sets
    folder = told / 'clips'
    folder.mkdir()
    for number, name in enumerate(('anger', 'joy', 'sadness')):
        (folder / f'{CLIPS[number]}.wav').write_bytes((media / f'{name}.wav').read_bytes())
    words = (
        f'hears={server.url}', f'right={told / "right.csv"}', '--media', folder, '--truth', told / 'truth.csv',
        '--labels', labels, '--set-media', media, '--tables', shared_data / 'wheels' / '2025', '--resamples', 100,
        '--out', told / 'both',
    )  # fmt: skip
    result = run(*words)
    assert result.exit_code == 0, result.output
    facts = json.loads((told / 'both' / 'board.json').read_text())
    assert facts['describers']['hears']['described'] == 3
    assert facts['describers']['hears']['record']['prompt'] == 'describe-2'
    assert facts['unibench']['models']['hears']['sets']['meld']['checkpoints']['answers']['headline'] == 1.0
    assert 'Published scores' in result.stdout
    asked = len(server.questions)
    assert run(*words).exit_code == 0
    assert len(server.questions) == asked
    assert any('Listen' in seeing.content_of(question)[-1]['text'] for question in server.questions)


@pytest.mark.parametrize(
    ('words', 'why'),
    [
        (('a=gone.csv', 'b=x'), 'check the path'), (('a=http://127.0.0.1:9/v1', 'b=http://127.0.0.1:9/v1'), '--media'),
        (('a={right}',), 'two describers or more'), (('a={right}', 'b={right}', '--judge', 'http://x/v1'), 'together'),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence(told, words, why):
    result = run(*(word.format(right=told / 'right.csv') for word in words), '--out', told / 'run')
    assert (result.exit_code, why in ' '.join(result.output.split())) == (2, True)

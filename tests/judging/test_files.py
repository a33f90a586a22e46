"""From files to verdicts: what is read, clips as they arrive at a server, faults, the tables, and replay."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import wave
from dataclasses import replace

import numpy as np
import pytest
import seeing
from click.testing import CliRunner
from PIL import Image

from affekt.cli import main
from affekt.errors import AffektError, ComparisonError, MediaError
from affekt.judging import LongerText, judge_descriptions, read_described
from affekt.llm import Endpoint
from affekt.llm.clips import ClipLimits, clip_parts
from affekt.media import Recording
from affekt.media.synthetic import clicks, find_clicks, numbered_images, read_number
from affekt.media.writing import write_audio, write_image, write_video
from affekt.ranking import RankSettings, rank, read_comparisons

TEXTS = {
    'short': ['She smiles.', 'He frowns.', 'She cries.'],
    'middle': ['She smiles at him twice.', 'He frowns and turns away.', 'She cries and hides.'],
    'long': ['She smiles at him twice and her voice is bright.'] * 3,
}


@pytest.fixture
def describers(tmp_path):
    """A table for each of three describers of three samples."""
    for name, texts in TEXTS.items():
        with (tmp_path / f'{name}.csv').open('w', newline='') as file:
            csv.writer(file).writerows([['name', 'description'], *([f's{at}', text] for at, text in enumerate(texts))])
    return [tmp_path / f'{name}.csv' for name in TEXTS]


@pytest.fixture
def emoprefer(tmp_path):
    rows = [
        ['name', 'a1', 'a2', 'preference', 'model1', 'model2'],
        ['s0', 'She smiles and laughs.', 'He frowns.', 'a1', 'X', 'Y'],
        ['s1', 'He frowns.', 'She smiles and laughs.', 'a2', 'Y', 'X'],
        ['s2', 'She smiles and laughs.', 'He frowns.', 'a2', 'X', 'Y'],
        ['s3', 'She cries.', 'He frowns.', 'same', 'X', 'Y'],
    ]
    with (tmp_path / 'pairs.csv').open('w', newline='') as file:
        csv.writer(file).writerows(rows)
    return tmp_path / 'pairs.csv'


def longer(question) -> str:
    """What a server answers that always finds the longer text better."""
    content = question['messages'][-1]['content']
    prompt = content if isinstance(content, str) else content[-1]['text']
    if 'BEGIN MATERIAL' not in prompt:
        return 'The person smiles.'
    held = json.loads(next(line for line in prompt.split('\n') if line.startswith('{"')))
    if 'argument' in held:
        return '{"verdict": "a1"}'
    sizes = len(held['a1']), len(held['a2'])
    return json.dumps({'verdict': 'same' if sizes[0] == sizes[1] else 'a1' if sizes[0] > sizes[1] else 'a2'})


def run(*words: object):
    return CliRunner().invoke(main, ['judge', *map(str, words)])


def rows_of(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


# What is read


def test_every_two_describers_of_a_sample_make_a_pair(describers):
    found = read_described(describers)
    assert [(pair.sample, pair.left, pair.right) for pair in found.pairs[:4]] == [
        ('s0', 'short', 'middle'), ('s0', 'short', 'long'), ('s0', 'middle', 'long'), ('s1', 'short', 'middle'),
    ]  # fmt: skip
    assert (len(found.pairs), found.preferences, found.left_out) == (9, None, 0)


def test_a_sample_that_one_describer_lacks_is_left_out_and_counted(describers):
    lines = describers[0].read_text().splitlines()
    describers[0].write_text('\n'.join(lines[:-1]) + '\n')
    found = read_described(describers)
    assert (len(found.pairs), found.left_out) == (7, 2)
    result = run(*describers, '--reference', 'longer text', '--out', describers[0].with_name('v.csv'))
    assert '2 pairs left out' in result.stdout


def test_a_table_of_pairs_brings_what_people_said(emoprefer):
    found = read_described([emoprefer])
    assert found.preferences == ('left', 'right', 'right', 'tie')
    assert (found.pairs[1].left, found.pairs[1].right) == ('Y', 'X')


@pytest.mark.parametrize(
    ('table', 'said'),
    [
        ('name,a1,a2,preference\ns0,x,y,a3\n', "'a3' in row 2"),
        ('name,a1,a2\ns0,x,y\ns0,x,y\n', 'again in row 3'),
        ('name,a1\ns0,x\n', 'without a2'),
        ('name,a1,a2\n', 'none'),
        ('name,a1,a2,model1,model2\ns0,x,y,m,m\n', 'm and m for s0'),
    ],
)
def test_a_wrong_table_of_pairs_is_refused_with_its_row(tmp_path, table, said):
    (tmp_path / 'pairs.csv').write_text(table)
    with pytest.raises(ComparisonError, match=said):
        read_described([tmp_path / 'pairs.csv'])


@pytest.mark.parametrize(
    ('table', 'said'),
    [
        ('sample,left,right\ns0,short,nobody\n', 'no description of s0 by nobody'),
        ('sample,left,right\ns9,short,long\n', 'no description of s9'),
        ('sample,left,right\ns0,long,long\n', 'long against itself in row 2'),
        ('sample,left,right\ns0,long,short\ns0,long,short\n', 'again in row 3'),
        ('sample,left\ns0,long\n', 'without right'),
    ],
)
def test_a_wrong_list_of_pairs_is_refused_with_its_row(describers, tmp_path, table, said):
    (tmp_path / 'wanted.csv').write_text(table)
    with pytest.raises(ComparisonError, match=said):
        read_described(describers, pairs=tmp_path / 'wanted.csv')


def test_only_the_pairs_that_are_named_are_judged(describers, tmp_path):
    (tmp_path / 'wanted.csv').write_text('sample,left,right\ns1,long,short\n')
    (pair,) = read_described(describers, pairs=tmp_path / 'wanted.csv').pairs
    assert (pair.sample, pair.left_text, pair.right_text) == ('s1', TEXTS['long'][1], TEXTS['short'][1])


def test_two_files_of_one_name_are_refused(describers, tmp_path):
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more' / 'short.csv').write_bytes(describers[0].read_bytes())
    with pytest.raises(ComparisonError, match='short twice'):
        read_described([*describers, tmp_path / 'more' / 'short.csv'])


def test_clips_are_found_by_name_and_missing_or_double_ones_are_said(describers, tmp_path):
    folder = tmp_path / 'clips'
    folder.mkdir()
    for name in ('s0.mp4', 's1.wav'):
        (folder / name).touch()
    with pytest.raises(MediaError, match=r'1 of 3 \(s2\)'):
        read_described(describers, media=folder)
    (folder / 's2.jpg').touch()
    assert read_described(describers, media=folder).pairs[0].media == folder / 's0.mp4'
    (folder / 's2.mp4').touch()
    with pytest.raises(MediaError, match='several'):
        read_described(describers, media=folder)
    with pytest.raises(MediaError, match='--media'):
        read_described(describers, media=tmp_path / 'nowhere')


# Clips


def test_a_clip_arrives_as_pictures_in_order_and_sound_within_the_limits(describers, tmp_path, server):
    folder = tmp_path / 'clips'
    folder.mkdir()
    sound = clicks(5.0, [1.0, 3.0])
    for number in range(3):
        write_video(folder / f's{number}.mp4', numbered_images(100, 320, 240, first=1000 * number), 20, samples=sound)
    server.answer = longer
    out = tmp_path / 'verdicts.csv'
    words = ['--endpoint', server.url, '--model', 'tiny', '--media', folder, '--out', out, '--strategy', 's2']
    result = run(*describers, *words, '--frames', 4, '--max-side', 160, '--sound', '--json')
    assert result.exit_code == 0, result.output
    asked = [question['messages'][-1]['content'] for question in server.questions]
    assert len(asked) == 3 + 18  # each clip is described once, each pair judged twice
    for content in asked:
        assert [part['type'] for part in content] == ['image_url'] * 4 + ['input_audio', 'text']
        pictures = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(part['image_url']['url'].split(',')[1]))))
            for part in content[:4]
        ]
        assert {picture.shape for picture in pictures} == {(120, 160, 3)}
        shown = [read_number(picture) for picture in pictures]  # of 100, at 0, 1.25, 2.5 and 3.75 s
        assert [number % 1000 for number in shown] == [0, 25, 50, 75]
        audio = content[4]['input_audio']
        assert audio['format'] == 'wav'
        with wave.open(io.BytesIO(base64.b64decode(audio['data']))) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            heard = np.frombuffer(file.readframes(file.getnframes()), '<i2') / 32768
        assert find_clicks(heard) == pytest.approx([1.0, 3.0], abs=0.01)


def test_a_judge_is_sent_what_its_server_takes_and_probed_before_the_first_question(describers, tmp_path, server):
    folder = tmp_path / 'clips'
    folder.mkdir()
    for number in range(3):
        write_video(folder / f's{number}.mp4', numbered_images(40, 64, 48), 20, samples=clicks(2.0, [1.0]))
    words = [
        '--endpoint', server.url, '--model', 'tiny', '--server', 'vllm', '--media', folder, '--sound', '--probe',
        '--out', tmp_path / 'verdicts.csv', '--json',
    ]  # fmt: skip
    server.answer = longer  # a judge that was given nothing says the same of every picture
    result = run(*describers, *words)
    assert (result.exit_code, 'dropped silently' in ' '.join(result.output.split())) == (2, True)
    assert not any('BEGIN MATERIAL' in json.dumps(question) for question in server.questions)
    is_judging = re.compile('BEGIN MATERIAL')
    server.answer = lambda asked: longer(asked) if is_judging.search(json.dumps(asked)) else seeing.answer(asked)
    assert run(*describers, *words).exit_code == 0
    judged = [each['messages'][-1]['content'] for each in server.questions if is_judging.search(json.dumps(each))]
    assert {tuple(part['type'] for part in content) for content in judged} == {('video_url', 'input_audio', 'text')}
    assert not seeing.video_in(judged[0][0])[1]


def test_a_clip_that_does_not_say_its_length_gives_pictures_of_its_seconds(tmp_path, monkeypatch):
    write_video(tmp_path / 'clip.mp4', numbered_images(100), 20)
    monkeypatch.setattr(Recording, 'duration_s', None)
    parts = clip_parts(tmp_path / 'clip.mp4', ClipLimits(frames=4))
    pictures = [base64.b64decode(part['image_url']['url'].split(',')[1]) for part in parts]
    assert [read_number(np.asarray(Image.open(io.BytesIO(held)))) for held in pictures] == [0, 20, 40, 60]


def test_limits_of_a_clip_hold(tmp_path):
    write_audio(tmp_path / 'long.wav', np.zeros(16000 * 3, np.float32), 16000)
    (part,) = clip_parts(tmp_path / 'long.wav', ClipLimits(sound=True, longest_sound_s=1.0))
    with wave.open(io.BytesIO(base64.b64decode(part['input_audio']['data']))) as file:
        assert file.getnframes() == 16000
    with pytest.raises(MediaError, match=r'long\.wav'):
        clip_parts(tmp_path / 'long.wav', ClipLimits())
    write_image(tmp_path / 'still.jpg', next(numbered_images(1, 640, 480)))
    assert len(clip_parts(tmp_path / 'still.jpg', ClipLimits())) == 1
    with pytest.raises(MediaError):
        clip_parts(tmp_path / 'still.jpg', ClipLimits(frames=0))
    with pytest.raises(AffektError):
        ClipLimits(frames=65)


# Verdicts


def test_verdicts_are_read_by_rank_as_they_are(describers, tmp_path, server):
    server.answer = longer
    out = tmp_path / 'verdicts.csv'
    result = run(*describers, '--endpoint', server.url, '--model', 'tiny', '--out', out)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.replace(str(tmp_path), '').splitlines()) <= 80
    assert '9 decided, 0 tied' in result.stdout
    read = read_comparisons(out)
    assert read.items == ('long', 'middle', 'short')
    assert read.raters == ('tiny s1',)
    assert (read.outcome == np.where(read.covariates['length'] > 0, 1, -1)).all()
    assert (read.first == 0).all()
    ranking = rank(read, RankSettings(prior=1.0))
    assert [standing.item for standing in ranking.standings] == ['long', 'middle', 'short']
    showings = read_comparisons(tmp_path / 'verdicts.showings.csv')
    assert len(showings) == 18
    assert (showings.weight == 0.5).all()
    assert sorted(showings.first) == [-1] * 9 + [1] * 9
    settings = json.loads((tmp_path / 'verdicts.csv.settings.json').read_text())
    assert (settings['judge'], settings['prompts'], settings['pairs']) == ('tiny s1', 'judge-1', 9)
    assert set(settings['inputs']) == {'short.csv', 'middle.csv', 'long.csv'}


def test_a_model_that_looks_at_position_alone_ties_everything_and_is_found_out(describers, tmp_path, server):
    server.answer = lambda question: '{"verdict": "a1"}'
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv']
    held = json.loads(run(*words, '--json').stdout)
    assert held['outcomes'] == {'left': 0, 'right': 0, 'tie': 9, 'abstain': 0}
    assert held['disagreeing_orders'] == 9
    assert (held['first_wins']['value'], held['consistency']['value']) == (1.0, 0.0)
    assert held['official_consistency'] == 0.0


def test_nonsense_is_an_abstention_that_rank_leaves_out(describers, tmp_path, server):
    server.answer = lambda question: 'As a language model I like both.'
    out = tmp_path / 'v.csv'
    result = run(*describers, '--endpoint', server.url, '--model', 'tiny', '--out', out)
    assert result.exit_code == 0
    assert '9 abstained' in result.stdout
    assert {row['outcome'] for row in rows_of(out)} == {'skip'}
    with pytest.raises(ComparisonError, match='without any'):
        read_comparisons(out)


def test_answers_with_thinking_are_counted_once_and_their_thinking_is_left_out(describers, tmp_path, server):
    server.answer = lambda question: f'<think>a1, no a2, no a1</think>{longer(question)}'
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv']
    report = json.loads(run(*words, '--json').stdout)
    assert report['with_thinking'] == 18  # 9 pairs in two orders
    assert report['read_as'] == {'json': 18}
    shown = run(*words).stdout
    assert '18 answers; what was thought aloud was left out' in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_what_a_describer_thought_aloud_is_not_judged_and_counted(describers, tmp_path, server):
    texts = ['<think>She may be sad, angry, or in fear of something.</think>She smiles.', '<think>angry', 'She cries.']
    with describers[0].open('w', newline='') as file:
        csv.writer(file).writerows([['name', 'description'], *([f's{at}', text] for at, text in enumerate(texts))])
    pair = read_described(describers).pairs[0]
    assert (pair.left_text, pair.has_thinking) == ('She smiles.', (True, False))
    assert replace(pair, media=tmp_path).has_thinking == (True, False)
    server.answer = longer
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv']
    report = json.loads(run(*words, '--json').stdout)
    assert report['descriptions_with_thinking'] == 2
    assert report['wins']['short'][:2] == [0, 6]  # by its length without thinking
    assert not any('angry' in json.dumps(question) for question in server.questions)
    assert [row['left_length'] for row in rows_of(tmp_path / 'v.csv') if row['left'] == 'short'] == [
        '11', '11', '0', '0', '10', '10',
    ]  # fmt: skip
    assert '2 descriptions; what was thought aloud was not judged' in run(*words).stdout


def test_agreement_with_people_is_as_published_and_even_handed(emoprefer, tmp_path):
    report = judge_descriptions([emoprefer], LongerText(), out=tmp_path / 'v.csv')
    own, first, again, _ = report.agreement
    # people: left right right tie; the longer text: left right left tie
    assert own.published['acc2'].value == pytest.approx(2 / 3)
    # left: TP 1 of 1, said 2; right: TP 1 of 2, said 1; F1 2/3 and 2/3
    assert own.published['waf2'].value == pytest.approx(2 / 3)
    assert own.published['acc3'].value == pytest.approx(3 / 4)
    assert (again.judge, again.published['waf3'].value) == ('longer text', own.published['waf3'].value)
    # the side shown first: as published always a1, even-handed half right
    assert first.judge == 'first shown'
    assert first.published['acc2'].value == pytest.approx(1 / 3)
    assert first.both_orders['acc2'].value == pytest.approx(1 / 2)
    # observed 3/4; chance: left 1/4 * 2/4 + right 2/4 * 1/4 + tie 1/4 * 1/4 = 5/16
    assert own.kappa.value == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert report.wins == {'X': (3, 0, 1, 0), 'Y': (0, 3, 1, 0)}


def test_half_a_tie_goes_to_each_side(emoprefer, tmp_path, server):
    server.answer = lambda question: '{"verdict": "same"}'
    words = [emoprefer, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv', '--json']
    (own, *_) = json.loads(run(*words).stdout)['agreement']
    assert own['published']['acc2']['value'] == pytest.approx(1 / 3)  # same counts as a1
    assert own['both_orders']['acc2']['value'] == pytest.approx(1 / 2)
    assert own['published']['acc3']['value'] == own['both_orders']['acc3']['value'] == pytest.approx(1 / 4)


def test_published_figures_are_reproduced_on_stored_answers(shared_data):
    from affekt.judging import DescribedPair, Judgement, Judgements, Verdict, agreement_with_people

    cases = json.loads((shared_data / 'vectors' / 'ov' / 'edge_cases.json').read_text())['preference_metrics']
    words = {'a1': 'left', 'a2': 'right', 'same': 'tie'}
    for case in cases:
        pairs = [DescribedPair(str(at), 'x', 'y', '', '') for at in range(len(case['pred']))]
        rows = tuple(
            Judgement(pair, Verdict(words[said], 'left'), None) for pair, said in zip(pairs, case['pred'], strict=True)
        )
        people = [words[said] for said in case['gt']]
        found = agreement_with_people(Judgements('m', rows), people, rng=np.random.default_rng(0), resamples=10)
        two, three = case['twoclass_waf_acc'], case['threeclass_waf_acc']
        figures = [found.published[name].value for name in ('waf2', 'acc2', 'waf3', 'acc3')]
        assert figures == pytest.approx([*two, *three], abs=1e-12)


def test_cost_is_counted_by_model_and_each_question_once(describers, tmp_path, server):
    def reply(question):
        usage = {'prompt_tokens': 1000, 'completion_tokens': 10}
        choice = {'message': {'content': longer(question)}, 'finish_reason': 'stop'}
        return {'model': 'tiny', 'choices': [choice], 'usage': usage}

    server.answer = reply
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv', '--json']
    for _ in range(2):  # the second run asks nothing and says the same
        (use,) = json.loads(run(*words, '--price', 'tiny=2,10').stdout)['use']
        assert len(server.questions) == use['questions'] == 18
        assert (use['prompt_tokens'], use['answer_tokens']) == (18_000, 180)
        assert use['cost'] == pytest.approx(18 * (1000 * 2 + 10 * 10) / 1e6)
    assert 'MODEL=PROMPT,ANSWER' in run(*words, '--price', 'tiny').output


# Faults


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setitem(Endpoint.__init__.__kwdefaults__, 'sleep', lambda seconds: None)


def test_passing_faults_are_ridden_out_and_each_answer_is_asked_for_once(
    describers, tmp_path, server, without_pauses, monkeypatch
):
    server.answer = longer
    server.script = [429, 500, 'cut', 'nonsense', 'no choices', 'cut chunk', 503, 'close', 'no length']
    # of three questions at once, one may meet all faults
    monkeypatch.setitem(Endpoint.__init__.__kwdefaults__, 'attempts', len(server.script) + 1)
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv', '--json']
    held = json.loads(run(*words, '--at-once', 3).stdout)
    assert len(server.questions) == 18 + 9
    assert held['outcomes'] == {'left': 0, 'right': 9, 'tie': 0, 'abstain': 0}


def test_a_server_that_hangs_ends_the_run_and_what_was_answered_is_kept(describers, tmp_path, server, without_pauses):
    out = tmp_path / 'v.csv'
    server.answer = lambda question: longer(question) if len(server.questions) <= 5 else 404
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', out, '--timeout', 10]
    assert run(*words, '--at-once', 1).exit_code == 2
    server.answer = lambda question: 'hang'
    result = run(*words[:-1], 0.05, '--at-once', 1)
    assert result.exit_code == 2
    assert 'no answer in 0.05 s' in result.stderr
    assert not out.exists()
    server.released.set()
    server.questions.clear()
    server.answer = longer
    assert run(*words).exit_code == 0
    assert len(server.questions) == 18 - 5


def test_a_server_that_refuses_ends_the_run_at_once_with_its_words(describers, tmp_path, server):
    server.answer = lambda question: 404
    words = [*describers, '--endpoint', server.url, '--model', 'tiny', '--out', tmp_path / 'v.csv']
    result = run(*words, '--at-once', 1)
    assert (result.exit_code, len(server.questions)) == (2, 1)
    assert 'HTTP 404 (state 404)' in result.stderr
    assert len(result.stderr.splitlines()) == 3  # that it loads, the error, the advice


# Replay


def test_a_replay_needs_no_model_and_gives_the_same_bytes(describers, tmp_path, server):
    server.answer = longer
    out, words = tmp_path / 'v.csv', [*describers, '--model', 'tiny', '--out', tmp_path / 'v.csv']
    assert run(*words, '--endpoint', server.url).exit_code == 0
    asked = len(server.questions)
    first = [path.read_bytes() for path in (out, tmp_path / 'v.showings.csv')]
    out.unlink()
    result = run(*words, '--replay')
    assert (result.exit_code, len(server.questions)) == (0, asked)
    assert [path.read_bytes() for path in (out, tmp_path / 'v.showings.csv')] == first


def test_a_replay_says_which_answer_is_missing(describers, tmp_path, server):
    result = run(*describers, '--model', 'tiny', '--out', tmp_path / 'v.csv', '--replay')
    assert result.exit_code == 2
    assert 'all answers of tiny' in result.stderr
    assert 'without --replay' in result.stderr
    assert not (tmp_path / 'v.csv').exists()


@pytest.mark.parametrize(
    'words',
    [
        [],
        ['--endpoint', 'http://localhost:1/v1'],
        ['--model', 'tiny'],
        ['--local', 'model', '--endpoint', 'http://localhost:1/v1'],
        ['--reference', 'style'],
        ['--reference', 'random', '--out', 'verdicts.txt'],
        ['--endpoint', 'http://localhost:1/v1', '--model', 'tiny', '--strategy', 's5'],
        ['--endpoint', 'http://localhost:1/v1', '--model', 'tiny', '--strategy', 's2'],
    ],
)
def test_options_that_do_not_fit_together_are_refused(describers, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    result = run(*describers, *words)
    assert result.exit_code == 2
    assert 'Traceback' not in result.output
    assert not (tmp_path / 'verdicts.csv').exists()


def test_help_fits_80_columns_and_a_reference_needs_no_model(describers, tmp_path):
    assert max(len(line) for line in run('--help').output.splitlines()) <= 80
    result = run(*describers, '--reference', 'longer text', '--out', tmp_path / 'v.csv')
    assert result.exit_code == 0
    assert '9 pairs in both orders by longer text' in result.stdout

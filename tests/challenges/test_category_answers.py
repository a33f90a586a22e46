"""Tracks with a closed set of categories: scores worked out by hand, and every problem of a bad submission."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.challenges import TRACKS, check_submission, score_track, track_named, write_submission
from affekt.cli import main
from affekt.errors import TableError
from affekt.metrics import challenge, challenge_measure
from affekt.metrics.categorical import weighted_f1
from affekt.metrics.challenge import emotion_valence_score

CLOSED = [name for name, track in TRACKS.items() if track.closed]
SIX = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')
TRUTH = {'a': ('happy', '1'), 'b': ('happy', '2'), 'c': ('sad', '-1'), 'd': ('neutral', '0')}
SAID = {'a': ('happy', '1'), 'b': ('sad', '2'), 'c': ('sad', '-2'), 'd': ('neutral', '0')}


def _first(answers):
    return {name: cells[0] for name, cells in answers.items()}


def test_the_tracks_and_their_columns_are_those_of_the_challenges():
    assert {name: TRACKS[name].columns for name in CLOSED} == {
        'mer2023-multi': ('discrete', 'valence'),
        'mer2023-noise': ('discrete', 'valence'),
        'mer2023-semi': ('discrete',),
        'mer2024-semi': ('discrete',),
        'mer2024-noise': ('discrete',),
        'mer2025-track1': ('discrete',),
        'mer2026-track1': ('discrete',),
    }
    assert {TRACKS[name].closed.categories for name in CLOSED} == {SIX}
    assert {name: TRACKS[name].rows for name in CLOSED if TRACKS[name].rows} == {
        'mer2023-multi': 411,
        'mer2023-noise': 412,
        'mer2025-track1': 20_000,
        'mer2026-track1': 20_000,
    }


@pytest.mark.parametrize('name', ['mer2023-multi', 'mer2023-noise'])
def test_emotion_and_valence_worked_out_by_hand(name, rng):
    # F1: happy 2·1/(2 + 1) = 2/3, sad 2·1/(1 + 2) = 2/3, neutral 1. Weighted: (2·2/3 + 2/3 + 1)/4 = 3/4.
    # One valence is off by 1: the squared error is 1/4, which costs 1/16.
    found = score_track(name, TRUTH, SAID, rng=rng, resamples=0)
    assert found.parts['weighted F1'].value == pytest.approx(3 / 4, abs=1e-15)
    assert found.parts['mean squared error'].value == pytest.approx(1 / 4, abs=1e-15)
    assert found.parts['accuracy'].value == pytest.approx(3 / 4, abs=1e-15)
    assert found.score.value == pytest.approx(11 / 16, abs=1e-15)
    assert found.samples == 4


@pytest.mark.parametrize('name', [name for name in CLOSED if TRACKS[name].closed.valence is None])
def test_the_other_tracks_rank_by_weighted_f1_alone(name, rng):
    found = score_track(name, _first(TRUTH), _first(SAID), rng=rng, resamples=0)
    assert found.score.value == pytest.approx(3 / 4, abs=1e-15)
    assert 'mean squared error' not in found.parts


def test_a_category_that_the_truth_lacks_weighs_nothing_but_costs_the_recall_of_the_true_one(rng):
    # happy is hit once of twice: F1 2/3, weight 2/2. angry has weight 0.
    truth, said = {'a': 'happy', 'b': 'happy'}, {'a': 'happy', 'b': 'angry'}
    found = score_track('mer2024-semi', truth, said, rng=rng, resamples=0)
    assert found.score.value == pytest.approx(2 / 3, abs=1e-15)


def test_the_score_is_that_of_the_metrics_on_any_answers(rng):
    for _ in range(20):
        true, guess = (rng.choice(SIX, 50) for _ in range(2))
        values, guesses = rng.uniform(-5, 5, (2, 50))
        truth, said = (
            {
                str(index): {'discrete': one, 'valence': float(value)}
                for index, (one, value) in enumerate(zip(*both, strict=True))
            }
            for both in ((true, values), (guess, guesses))
        )
        found = score_track('mer2023-multi', truth, said, rng=rng, resamples=0)
        assert found.score.value == pytest.approx(emotion_valence_score(true, guess, values, guesses), abs=1e-12)
        assert found.parts['weighted F1'].value == pytest.approx(weighted_f1(true, guess), abs=1e-12)


def test_a_valence_that_weighs_more_weighs_more_in_every_room(monkeypatch, rng):
    # half of the answers are right, each valence is off by 2: F1 is 2/3 of sad and 0 of angry, error 4
    monkeypatch.setattr(challenge, 'VALENCE_WEIGHT', 0.5)
    truth, said = ['sad', 'angry'], ['sad', 'sad']
    expected = (2 / 3) / 2 - 0.5 * 4
    assert challenge.emotion_valence_score(truth, said, [0, 0], [2, 2]) == pytest.approx(expected)
    assert challenge_measure(truth, said, [0, 0], [2, 2]).scores()['combined'] == pytest.approx(expected)
    tables = ({'a': (words[0], value), 'b': (words[1], value)} for words, value in ((truth, '0'), (said, '2')))
    assert score_track('mer2023-multi', *tables, rng=rng, resamples=0).score.value == pytest.approx(expected)
    torch = pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')
    from affekt.training import SCORES, Predicted, Samples

    samples = Samples({'text': torch.zeros(2, 1)}, torch.tensor([0, 1]), torch.zeros(2, 1))
    predicted = Predicted(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.full((2, 1), 2.0))
    assert SCORES['weighted_f1_less_quarter_squared_error'](predicted, samples) == pytest.approx(expected)


def test_only_samples_of_the_truth_are_scored_and_intervals_hold_the_score(rng):
    truth = {f's{index}': SIX[index % 6] for index in range(60)}
    said = {**truth, 's1': 'happy', 's2': 'sad', 'beside': 'sad'}
    found = score_track('mer2023-semi', truth, said, rng=rng, resamples=200)
    assert found.samples == 60
    assert found.score.low < found.score.value < found.score.high


def test_answers_that_cannot_be_scored_are_named_and_never_count_as_wrong(rng):
    with pytest.raises(TableError, match="none for 'd'"):
        score_track('mer2024-semi', _first(TRUTH), {'a': 'sad', 'b': 'sad', 'c': 'sad'}, rng=rng)
    with pytest.raises(TableError, match="prediction of a: 'joy' is none of neutral, angry"):
        score_track('mer2024-semi', _first(TRUTH), {**_first(SAID), 'a': 'joy'}, rng=rng)
    with pytest.raises(TableError, match=r'2 problems: truth of a: 1 value .*prediction of b: valence 7 is not'):
        score_track('mer2023-multi', {**TRUTH, 'a': 'sad'}, {**SAID, 'b': ('sad', '7')}, rng=rng)
    # The placeholder of the loader of MERBench is no valence.
    with pytest.raises(TableError, match='valence -10 is not from -5 to 5'):
        score_track('mer2023-multi', {**TRUTH, 'a': ('sad', '-10')}, SAID, rng=rng)
    with pytest.raises(TableError, match='truth without any'):
        score_track('mer2024-semi', {}, {}, rng=rng)


def test_a_written_submission_has_the_columns_of_the_challenge_and_is_in_order(tmp_path, rng):
    path = tmp_path / 'x.csv'
    names = [f's{index:03d}' for index in range(411)]
    said = {name: {'valence': 0.25, 'discrete': SIX[index % 6]} for index, name in enumerate(reversed(names))}
    facts = write_submission('mer2023-multi', said, path, names)
    assert (facts.rows, facts.follows_candidates, sum(facts.counts.values())) == (411, True, 411)
    # s000 is the last of the reversed names: number 410, which is 2 beyond a multiple of 6.
    assert path.read_text().splitlines()[:2] == ['name,discrete,valence', 's000,happy,0.25']
    assert check_submission('mer2023-multi', path, names) == facts
    held = track_named('mer2023-multi').read(path)
    assert score_track('mer2023-multi', said, held, rng=rng, resamples=0).score.value == 1.0


def test_every_problem_of_a_submission_is_in_one_error_with_its_row(tmp_path):
    lines = [
        'name,discrete,valence', 'a,happy,1', 'a,sad,1', 'z,sad,1', 'b,Happy,1', 'c,,1', 'd,sad,high', 'e,sad,nan',
        'f,sad,5.5', 'g,sad', ',sad,0', 'h, sad,0',
    ]  # fmt: skip
    (tmp_path / 'x.csv').write_text('\n'.join(lines))
    with pytest.raises(TableError) as caught:
        check_submission('mer2023-noise', tmp_path / 'x.csv', tuple('abcdefghi'))
    said = str(caught.value)
    for problem in (
        'row 3: a again, first in row 2',
        'row 4: z is no candidate',
        "row 5: b: 'Happy' is none of neutral, angry, happy, sad, worried, surprise",
        'row 6: c: no category',
        "row 7: d: valence 'high' is no number",
        "row 8: e: valence 'nan' is no number",
        'row 9: f: valence 5.5 is not from -5 to 5',
        'row 10: 2 cells',
        'row 11: no name',
        "row 12: h: ' sad' is none of",
        "1 candidate without an answer: 'i'",
        '11 rows where the challenge takes 412',
        '12 problems',
    ):
        assert problem in said, problem


@pytest.mark.parametrize(
    ('header', 'said'),
    [('name,emo', 'columns name, emo where name, discrete belong'), ('name,discrete,valence', 'name, discrete belong')],
)
def test_other_columns_than_the_challenge_reads_are_refused(header, said, tmp_path):
    (tmp_path / 'x.csv').write_text(f'{header}\na,sad{",1" * (header.count(",") - 1)}\n')
    with pytest.raises(TableError, match=said):
        check_submission('mer2024-noise', tmp_path / 'x.csv', ('a',))


def test_a_decimal_comma_is_read_from_your_own_table_and_refused_in_a_submission(tmp_path, rng):
    rows = ''.join(f'{name};{category};{valence}\n' for name, (category, valence) in TRUTH.items())
    (tmp_path / 'own.csv').write_text(f'name;discrete;valence\n{rows}'.replace(';2\n', ';1,5\n'))
    own = TRACKS['mer2023-multi'].read(tmp_path / 'own.csv')
    assert own['b'] == ('happy', '1.5')
    found = score_track('mer2023-multi', TRUTH, own, rng=rng, resamples=10)
    assert found.parts['mean squared error'].value == pytest.approx(0.5**2 / 4)
    (tmp_path / 'x.csv').write_text('name,discrete,valence\nb,happy,"1,5"\n')
    with pytest.raises(TableError, match="b: valence '1,5' is no number"):
        check_submission('mer2023-multi', tmp_path / 'x.csv', ('b',))
    with pytest.raises(TableError, match="b: valence '1,5' is no number"):
        score_track('mer2023-multi', {'b': TRUTH['b']}, {'b': ('happy', '1,5')}, rng=rng)


def test_as_many_answers_as_a_challenge_takes_are_ordered_at_once(tmp_path):
    class Name(str):
        """A name that counts how often it is looked up."""

        hashed = 0

        def __hash__(self) -> int:
            Name.hashed += 1
            return super().__hash__()

    names = [Name(f's{index}') for index in range(500)]
    write_submission('mer2023-semi', dict.fromkeys(names, 'sad'), tmp_path / 'x.csv')
    assert Name.hashed < 50 * len(names)  # not once for every pair


def test_nothing_is_written_where_something_is_wrong(tmp_path):
    with pytest.raises(TableError, match="row 2: a: 'joy' is none of"):
        write_submission('mer2024-semi', {'a': 'joy'}, tmp_path / 'x.csv')
    with pytest.raises(TableError, match='3 rows where the challenge takes 20,000'):
        write_submission('mer2026-track1', dict.fromkeys('abc', 'sad'), tmp_path / 'x.csv')
    with pytest.raises(TableError, match=r'x\.npz does not end in \.csv'):
        write_submission('mer2024-semi', {'a': 'sad'}, tmp_path / 'x.npz')
    with pytest.raises(TableError, match='no category'):
        write_submission('mer2024-semi', {'a': ''}, tmp_path / 'x.csv', allow_empty=True)
    with pytest.raises(TableError, match='row 2: a: 0 values where discrete belong'):
        write_submission('mer2024-semi', {'a': None}, tmp_path / 'x.csv')
    assert not list(tmp_path.iterdir())


def test_commands_write_check_and_score(tmp_path):
    run, names = CliRunner(), [f's{index}' for index in range(8)]
    mine, truth, made = (str(tmp_path / name) for name in ('mine.csv', 'truth.csv', 'made.csv'))
    rng = np.random.default_rng(0)
    with open(mine, 'w') as file:
        file.write('name,emo\n' + ''.join(f'{name},{rng.choice(SIX)}\n' for name in names))
    with open(truth, 'w') as file:
        file.write('name,discrete,valence\n' + ''.join(f'{name},happy,-10\n' for name in names[:4]))
    wrote = run.invoke(main, ['track', 'write', 'mer2023-semi', mine, '--out', made])
    assert (wrote.exit_code, '8 answers' in wrote.stdout) == (0, True), wrote.output
    checked = run.invoke(main, ['track', 'check', 'mer2023-semi', made, '--candidates', mine])
    assert '8 answers in the order of the candidates' in checked.stdout
    scored = run.invoke(main, ['track', 'score', 'mer2023-semi', made, '--truth', truth, '--json'])
    facts = json.loads(scored.stdout)
    assert (facts['metric'], facts['samples'], facts['table']) == ('weighted F1', 4, '')
    shown = run.invoke(main, ['track', 'score', 'mer2023-semi', made, '--truth', truth])
    assert 'F1 happy' in shown.stdout
    lacking = run.invoke(main, ['track', 'score', 'mer2023-multi', made, '--truth', truth])
    assert lacking.exit_code == 2
    assert 'add valence' in lacking.stderr

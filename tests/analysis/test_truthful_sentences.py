"""No sentence and no moment contradicts its own evidence, on many made-up recordings of all sorts.

The claims are read back from the words of the sentences and held against the readings, times and tables that each of
them names as evidence; nothing here asks the code that wrote them.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from affekt.analysis.analysis import Analysis
from affekt.analysis.assemble import assemble
from affekt.analysis.moments import MOMENT_KINDS
from affekt.analysis.observations import Observed, Trust, conform
from affekt.analysis.records import Evidence, Moment, Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.labels import CIRCUMPLEX, EKMAN
from affekt.wording import clock, length

WORDS = dict(zip(('angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'), EKMAN, strict=True))
SEEDS = range(32)
PLACES = np.array([CIRCUMPLEX[name] for name in EKMAN])


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 7) shares that stay with one category for a while."""
    scores = np.repeat(rng.normal(size=(count // 6 + 1, 7)) * 2.2, 6, axis=0)[:count]
    shares = np.exp(scores + 0.3 * rng.normal(size=scores.shape))
    return shares / shares.sum(axis=1, keepdims=True)


def faces_of(rng: np.random.Generator, person: str, duration_s: float) -> list[dict]:
    rate = 5.0
    times = np.arange(0.0, duration_s, 1 / rate)
    times = times[rng.uniform(size=len(times)) < rng.choice([1.0, 0.9])]
    if duration_s > 12 and rng.uniform() < 0.6:  # out of sight for a while
        gone = rng.uniform(2, duration_s - 6)
        times = times[(times < gone) | (times > gone + rng.uniform(0.5, 5))]
    shares = drawn(rng, len(times))
    level = np.clip(np.repeat(rng.uniform(-0.5, 1.0, len(times) // 8 + 1), 8)[: len(times)], 0, 1)
    unread = np.repeat(rng.uniform(size=len(times) // 10 + 1) < 0.1, 10)[: len(times)]
    shares[unread] = np.nan
    place = np.clip(shares @ PLACES + rng.normal(0, 0.1, (len(times), 2)), -1, 1)
    closed = np.repeat(rng.uniform(size=len(times) // 12 + 1), 12)[: len(times)]
    flags = {name: rng.uniform(size=2) for name in ('is_covered', 'is_blurred')}
    return [
        {
            'time_s': float(time), 'person': person, **dict(zip(EKMAN, shares[i], strict=True)),
            'valence': place[i, 0], 'arousal': place[i, 1], 'quality': 0.8, 'smile': level[i],
            'squint': float(rng.uniform(0, 0.6)), 'eyes_closed': closed[i], 'jaw_open': 0.1,
            **{name: float((time > duration_s * a) & (time < duration_s * b)) for name, (a, b) in flags.items()},
        }
        for i, time in enumerate(times)
    ]  # fmt: skip


def turns_of(rng: np.random.Generator, duration_s: float) -> list[dict]:
    rows, time = [], float(rng.uniform(0, 2))
    while time < duration_s - 1.2:
        end = min(duration_s + 0.2, time + float(rng.uniform(1.0, 6.0)))
        shares = drawn(rng, 1)[0]
        place = shares @ PLACES
        because = str(rng.choice(['', '', '', 'unsure', 'unfamiliar']))
        row = {'start_s': time, 'end_s': end, 'quality': 0.8, 'valence': place[0], 'arousal': place[1]}
        row |= dict(zip(EKMAN, shares if not because else [np.nan] * 7, strict=True))
        if because:
            row['valence'] = np.nan
        row |= {'abstains_because': because, 'is_loud_voice': bool(rng.uniform() < 0.1), 'valence_sd': 0.3,
                'arousal_sd': 0.3, 'liveliness': float(rng.normal(0, 0.3))}  # fmt: skip
        rows.append(row)
        time = end + float(rng.choice([0.3, 1.0, 6.0]))
    return rows


def words_of(rng: np.random.Generator, turns: list[dict]) -> list[dict]:
    rows = []
    for turn in turns:
        shares = drawn(rng, 1)[0]
        reason = str(rng.choice(['', '', 'not understood', 'language']))
        place = shares @ PLACES if not reason else [np.nan, np.nan]
        rows.append({
            'start_s': turn['start_s'], 'end_s': turn['end_s'], 'text': 'so it goes', 'speaker': '', 'quality': 0.9,
            **dict(zip(EKMAN, shares if not reason else [np.nan] * 7, strict=True)),
            'valence': place[0], 'arousal': place[1], 'reason': reason,
        })  # fmt: skip
    return rows


def recording(seed: int) -> Analysis:
    """An analysis of nobody, somebody or several, seen, heard, read, for seconds or minutes."""
    rng = np.random.default_rng(seed)
    kind = ('video', 'audio', 'video', 'image')[seed % 4]
    duration_s = 1.0 if kind == 'image' else float(rng.choice([2.6, 9.0, 24.3, 75.0]))
    people = [] if kind == 'audio' else [f'person {k + 1}' for k in range(int(rng.integers(0, 3)))]
    faces = [row for name in people for row in faces_of(rng, name, duration_s)]
    turns = [] if kind == 'image' or rng.uniform() < 0.15 else turns_of(rng, duration_s)
    said = words_of(rng, turns) if rng.uniform() < 0.7 else []
    spoken = tuple(Spoken(row['start_s'], row['end_s'], '', '', row['text']) for row in said)
    observed = Observed(
        source=Source(f'{seed}', kind, duration_s, '00', 640, 360, 25.0, 5.0),
        faces=conform(pa.Table.from_pylist(faces), 'faces'), turns=conform(pa.Table.from_pylist(turns), 'turns'),
        utterances=conform(pa.Table.from_pylist(said), 'utterances'), spoken=spoken,
        trust={'face': Trust(0.9), 'voice': Trust(0.8), 'words': Trust(0.7)},
    )  # fmt: skip
    return assemble(observed, AnalysisSettings(step_s=float(rng.choice([0.5, 1.0]))))


@pytest.fixture(scope='module')
def analyses() -> list[Analysis]:
    return [recording(seed) for seed in SEEDS]


def piece(moment: Moment, source: str) -> Evidence:
    return next(part for part in moment.evidence if part.source == source)


def numbers_in(text: str) -> list[float]:
    return [float(number.replace('−', '-')) for number in re.findall(r'[+−]?\d+\.\d\d', text)]


def likeliest(part: Evidence) -> str:
    shares = {name: part.readings[name] for name in EKMAN if name in part.readings}
    return max(shares, key=shares.__getitem__, default='')


def check_peak(moment: Moment, path) -> None:
    name = 'valence' if 'valence' in moment.sentence else 'arousal'
    value, usual = numbers_in(moment.sentence)
    part = piece(moment, 'fused')
    assert value == pytest.approx(part.readings[name], abs=0.006)
    assert abs(value - usual) >= 0.14
    claims = {
        'more positive': value > usual and value > 0, 'less negative': value > usual and value <= 0,
        'more negative': value < usual and value < 0, 'less positive': value < usual and usual > 0,
        'livelier': value > usual, 'calmer': value < usual, 'most positive': value >= 0.25,
        'most negative': value <= -0.25, 'liveliest': value > 0, 'calmest': value < 0,
    }  # fmt: skip
    (claim,) = [words for words in claims if f' {words}' in moment.sentence]
    assert claims[claim], moment
    if claim in ('most positive', 'most negative', 'liveliest', 'calmest'):
        sign = 1 if value > usual else -1
        outside = (path.end_s <= moment.start_s) | (path.start_s >= moment.end_s)
        inside = path.dimension(name)[~outside]
        assert np.nanmax(sign * path.dimension(name)[outside]) <= np.nanmax(sign * inside) + 1e-9 or outside.all()


def check_change(moment: Moment) -> None:
    name = 'valence' if 'valence' in moment.sentence else 'arousal'
    before, after = numbers_in(moment.sentence)
    first, second = moment.evidence[:2]
    assert (first.end_s, second.start_s) == (moment.time_s, moment.time_s)
    assert before == pytest.approx(first.readings[name], abs=0.006)
    assert after == pytest.approx(second.readings[name], abs=0.006)
    rises = any(word in moment.sentence for word in ('more positive', 'less negative', 'livelier'))
    assert rises == (after > before)
    if 'positive:' in moment.sentence:
        assert max(before, after) > 0
    if 'negative:' in moment.sentence:
        assert min(before, after) < 0


def check_disagreement(moment: Moment) -> None:
    verbs = {'face': 'looks', 'voice': 'sounds', 'words': 'read as'}
    shown = {
        source: match[1] for source, verb in verbs.items() if (match := re.search(rf'{verb} (\w+)', moment.sentence))
    }
    assert len(set(shown.values())) == len(shown) == 2, moment
    for source, word in shown.items():
        part = piece(moment, source)
        if word in ('positive', 'negative'):
            assert (part.readings['valence'] > 0.2) if word == 'positive' else (part.readings['valence'] < -0.2)
        else:
            assert likeliest(part) == WORDS[word] != 'neutral'


def check_smile(moment: Moment) -> None:
    face = piece(moment, 'face').readings
    emotions = {name: face[name] for name in EKMAN[:-1] if name in face}
    assert face['smile'] >= 0.25
    assert not emotions or max(emotions, key=emotions.__getitem__) == 'happiness'
    assert face.get('valence', 0.0) >= 0
    for part in moment.evidence:
        assert part.source in ('fused', 'face')
        assert part.readings.get('valence', 0.0) >= 0
        assert likeliest(part) in ('happiness', 'neutral', '')
    assert length(moment.end_s - moment.start_s) in moment.sentence
    assert moment.end_s - moment.start_s >= 0.5


def check_silence(moment: Moment, analysis: Analysis) -> None:
    for table in ('turns', 'utterances'):
        rows = analysis.tables[table]
        starts, ends = (np.array(rows[name].to_pylist()) for name in ('start_s', 'end_s'))
        assert not ((starts < moment.end_s - 1e-9) & (ends > moment.start_s + 1e-9)).any()
    assert piece(moment, 'voice').readings['pause_s'] == pytest.approx(moment.end_s - moment.start_s, abs=0.01)
    assert length(moment.end_s - moment.start_s) in moment.sentence


def check_liveliness(moment: Moment) -> None:
    (level,) = numbers_in(moment.sentence)
    assert level == pytest.approx(piece(moment, 'voice').readings['liveliness'], abs=0.006)
    assert ('livelier' in moment.sentence) == (level > 0) != ('calmer' in moment.sentence)


def test_every_sort_of_moment_comes_up(analyses):
    kinds = Counter(moment.kind for analysis in analyses for moment in analysis.moments)
    assert set(kinds) == set(MOMENT_KINDS), kinds
    assert min(kinds.values()) >= 2, kinds


def test_no_moment_contradicts_its_evidence(analyses):
    for analysis in analyses:
        for moment in analysis.moments:
            check = {
                'peak': lambda m, a=analysis: check_peak(m, a.timeline.series(m.person)), 'change': check_change,
                'disagreement': check_disagreement, 'smile': check_smile, 'liveliness': check_liveliness,
                'silence': lambda m, a=analysis: check_silence(m, a),
            }[moment.kind]  # fmt: skip
            check(moment)


def test_moments_lie_inside_their_evidence_and_inside_the_recording(analyses):
    for analysis in analyses:
        for moment in analysis.moments:
            assert 0 <= moment.start_s <= moment.time_s <= moment.end_s <= analysis.source.duration_s + 1e-6
            assert moment.evidence
            assert min(part.start_s for part in moment.evidence) == pytest.approx(moment.start_s)
            assert max(part.end_s for part in moment.evidence) == pytest.approx(moment.end_s)
            assert all(part.person == moment.person for part in moment.evidence)
            if moment.kind in ('peak', 'change', 'disagreement'):  # what was not measured shows nothing
                path = analysis.timeline.series(moment.person)
                steps = path.between(moment.start_s + 1e-6, moment.end_s - 1e-6)
                assert (path.end_s - path.start_s)[steps].sum() == pytest.approx(moment.end_s - moment.start_s)


def test_a_superlative_is_given_once(analyses):
    for analysis in analyses:
        claims = Counter(
            (moment.person, claim)
            for moment in analysis.moments
            for claim in ('most positive', 'most negative', 'liveliest', 'calmest')
            if f'as {claim}:' in moment.sentence
        )
        assert all(times == 1 for times in claims.values())


def test_sentences_on_moments_say_the_span_of_their_evidence(analyses):
    for analysis in analyses:
        for sentence in analysis.description:
            if not (match := re.match(r'From (\S+) to (\S+?),', sentence.text)):
                continue
            spans = (min(part.start_s for part in sentence.evidence), max(part.end_s for part in sentence.evidence))
            assert (match[1], match[2]) == tuple(map(clock, spans)), sentence


def test_a_told_course_is_what_its_stretches_say(analyses):
    for analysis in analyses:
        for person in analysis.people:
            path = analysis.timeline.series(person.name)
            for part in person.course:
                assert part.end_s <= analysis.source.duration_s + 1e-6
                inside = (path.start_s >= part.start_s - 1e-9) & (path.end_s <= part.end_s + 1e-9)
                shares = np.nan_to_num(path.probabilities[inside]).sum(axis=0)
                assert part.label == 'unclear' or shares.argmax() == EKMAN.index(part.label) or inside.sum() < 3


def test_certainty_words_are_consistent(analyses):
    for analysis in analyses:
        for sentence in analysis.description:
            for share in re.findall(r'\((\d+) % sure', sentence.text):
                assert int(share) >= 35, sentence
            assert 'nan' not in sentence.text
            for share in re.findall(r'perhaps [^()]*\((\d+) % sure', sentence.text):
                assert int(share) <= 50, sentence


def test_a_word_is_no_surer_than_the_likeliest_category_of_its_evidence(analyses):
    counted = 0
    for analysis in analyses:
        for label in analysis.labels:
            (fused,) = [part for part in label.evidence if part.source == 'fused']
            shares = [share for name, share in fused.readings.items() if name in EKMAN]
            assert label.certainty <= max(shares) + 1e-4, label
            counted += 1
    assert counted > 50


def test_a_tone_is_told_only_where_its_interval_has_one_sign(analyses):
    for analysis in analyses:
        for person in analysis.people:
            for sentence in analysis.description:
                tones = re.findall(r'tone is ([\w ]+) \(', sentence.text)
                if not tones or person.name not in sentence.text.lower() or len(analysis.people) > 1:
                    continue
                for word, axis, sign in (('positive', person.valence, 1), ('negative', person.valence, -1),
                                         ('lively', person.arousal, 1), ('calm', person.arousal, -1)):  # fmt: skip
                    if word in tones[0]:
                        assert axis is not None
                        mean, near = sign * axis[0], sign * (axis[1] if sign > 0 else axis[2])
                        share = 1.2816 / 1.96 if re.search(rf'probably (slightly )?{word}', tones[0]) else 1.0
                        assert mean > share * (mean - near)


def test_what_is_brief_in_a_long_recording_was_seen_and_heard():
    # 0.4 s of 3 hours is a share of 0.00004, which is 0.0 to four digits
    turn = {'start_s': [100.0], 'end_s': [100.4], 'arousal': [0.3], 'arousal_sd': [0.3]}
    source = Source('a.mp4', 'video', 10_800.0, 'ab' * 32, 64, 64, 5.0, 5.0)
    faces = [row for row in faces_of(np.random.default_rng(0), 'person 1', 1.0) if row['time_s'] < 0.3]
    observed = Observed(source, conform(pa.Table.from_pylist(faces), 'faces'), conform(pa.table(turn), 'turns'))
    analysis = assemble(observed, AnalysisSettings())
    assert analysis.coverage['voice'] == 0.0
    assert 'No face was found' not in analysis.text
    assert 'No speech was heard' not in analysis.text
    assert 'The words are not known, so nothing rests on words.' in analysis.text

"""Who is seen against who is heard: courses with known answers, and a real sentence."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from affekt.captioning import SpeakingScore, clip_places, read_speaking, score_speaking, speaking, speaking_score
from affekt.captioning.running import CLIP_COLUMNS, _clip_rows
from affekt.captioning.speaking import GRID_HZ, mouth_courses, rhythm, voice_course
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import TableError
from affekt.media import Recording, write_video
from affekt.media.synthetic import tone
from affekt.tables import csv_bytes


def _syllables(rng, seconds=3.0):
    """A course that rises and falls a few times a second, as syllables do."""
    noise = rng.normal(size=round(seconds * GRID_HZ))
    return np.convolve(np.maximum(noise, 0), np.hanning(7)[1:-1], 'same')


def test_a_mouth_that_moves_with_the_voice_speaks_and_one_that_moves_otherwise_does_not(rng):
    voice, other = _syllables(rng), _syllables(rng)
    fits = speaking_score('fits', [0.1 * np.roll(voice, 1) + 0.2], voice, 2.0)
    dubbed = speaking_score('dubbed', [0.1 * other + 0.2], voice, 2.0)
    assert fits.speaks()
    assert dubbed.speaks() is False
    assert fits.score > 2 * abs(dubbed.score)


def test_another_face_that_moves_with_the_voice_takes_it_and_a_still_mouth_says_nothing(rng):
    voice, other = _syllables(rng), _syllables(rng)
    silent = speaking_score('a', [0.1 * other, 0.1 * voice], voice, 2.0)
    assert silent.lead < 0
    assert silent.speaks() is False
    still = speaking_score('b', [1e-4 * voice], voice, 2.0)
    assert (still.score > 0.3, still.speaks()) == (True, False)


def test_far_lags_count_less_and_none_beyond_a_fifth_of_a_second(rng):
    voice = _syllables(rng, 8.0)
    by_lag = [rhythm(np.roll(voice, lag), voice) for lag in (0, 2, 4, 12)]
    assert by_lag[0] == pytest.approx(1.0)
    assert by_lag[1] == pytest.approx(0.7, abs=0.05)  # 1 - 2 * 0.15
    assert by_lag[2] == pytest.approx(0.4, abs=0.12)
    assert by_lag[3] < 0.35


@pytest.mark.parametrize(
    ('mouths', 'voiced_s', 'why'), [(0, 2.0, 'no face'), (1, 0.2, 'no voice'), (1, 0.6, 'too short')]
)
def test_what_cannot_be_judged_has_a_reason_and_no_score(rng, mouths, voiced_s, why):
    voice = _syllables(rng, 0.8 if why == 'too short' else 3.0)
    made = speaking_score('a', [voice] * mouths, voice, voiced_s)
    assert (made.why, made.speaks()) == (why, None)
    assert math.isnan(made.score)


def test_scores_of_a_folder_are_written_once_and_read_again(tmp_path):
    (tmp_path / 'clips.csv').write_bytes(
        csv_bytes(('name', 'video', 'audio', 'frames', 'start_s', 'end_s'), [['a', None, 'a.wav', None, None, None]])
    )
    assert [each.why for each in score_speaking(tmp_path)] == ['no video']
    first = (tmp_path / 'speaking.csv').read_bytes()
    score_speaking(tmp_path)
    assert (tmp_path / 'speaking.csv').read_bytes() == first
    assert read_speaking(tmp_path)['a'].speaks() is None
    for read in (read_speaking, clip_places):
        with pytest.raises(TableError):
            read(tmp_path / 'none')


def test_the_voice_of_a_stretch_is_read_to_its_end_and_no_further():
    whole = np.concatenate([tone(1.0, 150.0) * 0, tone(1.0, 150.0), tone(2.0, 150.0) * 0]).astype(np.float32)

    class Recorded:
        read = 0

        def samples(self, rate_hz):
            for begin in range(0, len(whole), 8_000):
                self.read += 1
                yield SimpleNamespace(samples=whole[begin : begin + 8_000])

    recorded = Recorded()
    course, voiced_s = voice_course(recorded, 1.0, 2.0)
    assert recorded.read == 4  # half a second each
    assert len(course) == pytest.approx(25, abs=1)
    assert voiced_s > 0.8


def test_an_audio_file_that_was_cut_before_is_read_from_its_own_start(tmp_path, monkeypatch):
    """IEMOCAP has one video per dialogue and one audio file per utterance; the times are those of the dialogue."""
    manifest = Manifest(
        Facts('a', root=str(tmp_path)),
        [
            Sample('u1', video='D1.avi', audio='D1_u1.wav', recording='D1', start_s=100.0, end_s=105.0),
            Sample('u2', audio='D1.wav', recording='D1', start_s=7.0, end_s=9.0),
            Sample('u3', video='a.avi', audio='b.wav', start_s=0.0, end_s=2.0),
        ],
    )
    rows = _clip_rows(manifest, tuple(manifest.samples))
    (tmp_path / 'clips.csv').write_bytes(csv_bytes(CLIP_COLUMNS, rows))
    asked = []

    def scored(name, video, audio, window_s, audio_window_s):
        asked.append((name, window_s, audio_window_s))
        return SpeakingScore(name, why='no face')

    monkeypatch.setattr(speaking, '_scored', scored)
    score_speaking(tmp_path)
    assert asked == [('u1', (100.0, 105.0), None), ('u3', (0.0, 2.0), (0.0, 2.0))]
    assert [row['start_s'] for row in clip_places(tmp_path)] == ['100.0', '7.0', '0.0']


def test_a_face_in_a_video_of_few_frames_per_second_is_seen(shared_data, tmp_path):
    path = shared_data / 'clips' / 'grid_sbwe5n.mpg'
    if not path.is_file():
        pytest.skip('no spoken sentences among the real clips')
    frames = [frame.image for frame in Recording.open(path).frames(10.0)]
    video = write_video(tmp_path / 'slow.mp4', frames, 10.0)
    (course,) = mouth_courses(Recording.open(video), np.arange(70) / GRID_HZ)
    assert len(course) == 70


def test_a_real_sentence_fits_its_own_speaker_better_than_others(shared_data):
    clips = [shared_data / 'clips' / f'grid_{name}.mpg' for name in ('sbwe5n', 'bbaf2n', 'lrwp9a', 'pwij3p')]
    if not all(path.is_file() for path in clips):
        pytest.skip('no spoken sentences among the real clips')
    mouth = mouth_courses(Recording.open(clips[0]), np.arange(75) / GRID_HZ)[0]
    scores: list[SpeakingScore] = []
    for path in clips:
        voice, voiced_s = voice_course(Recording.open(path))
        size = min(len(mouth), len(voice))
        scores.append(speaking_score(path.stem, [mouth[:size]], voice[:size], voiced_s))
    assert scores[0].speaks()
    assert scores[0].score == max(score.score for score in scores)

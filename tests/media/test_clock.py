"""One clock: pictures and sound lie where they were put, whatever the container, rate, offset or damage."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affekt.media import Recording
from affekt.media.synthetic import clicks, find_clicks, numbered_images, read_number, tone
from affekt.media.writing import MediaWriter, PictureStyle, SoundStyle, write_audio, write_video

CLICKS_S = [0.25, 0.8, 1.5]
SMALL = (64, 48)


def heard(recording: Recording, **how: object) -> np.ndarray:
    blocks = [block.samples for block in recording.samples(**how)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


@pytest.mark.parametrize('extension', ['mp4', 'mov', 'mkv', 'webm', 'avi'])
@pytest.mark.parametrize('rate_hz', [25, 30, 24000 / 1001])
def test_pictures_and_clicks_lie_within_a_millisecond_of_where_they_were_put(tmp_path, extension, rate_hz):
    path = tmp_path / f'a.{extension}'
    write_video(path, numbered_images(50, *SMALL), rate_hz, clicks(2.0, CLICKS_S))
    recording = Recording.open(path)
    late = [frame.time_s - read_number(frame.image) / rate_hz for frame in recording.frames()]
    assert len(late) == 50
    # Matroska rounds times to milliseconds, so half of one is the most that any may be off
    assert np.abs(late).max() <= 0.00051
    assert find_clicks(heard(recording)) == pytest.approx(CLICKS_S, abs=0.001)


def test_b_frames_come_in_order_of_time(tmp_path):
    style = PictureStyle(options={'bf': '3', 'b-adapt': '0', 'g': '30'})
    recording = Recording.open(write_video(tmp_path / 'a.mp4', numbered_images(40, *SMALL), 25, picture=style))
    frames = [(read_number(frame.image), frame.time_s) for frame in recording.frames()]
    assert frames == [(n, pytest.approx(n / 25)) for n in range(40)]


@pytest.mark.parametrize('extension', ['mp4', 'mkv', 'webm'])
def test_a_variable_rate_keeps_every_own_time(tmp_path, extension):
    steps = np.array([0.02, 0.05, 0.1, 0.02, 0.3, 0.04])
    times = np.concatenate([[0.0], np.cumsum(np.tile(steps, 4))])
    path = write_video(tmp_path / f'a.{extension}', numbered_images(len(times), *SMALL), 25, times_s=times)
    found = {read_number(frame.image): frame.time_s for frame in Recording.open(path).frames()}
    assert [found[n] for n in range(len(times))] == pytest.approx(times, abs=0.00051)


@pytest.mark.parametrize('extension', ['mp4', 'mkv', 'mov'])
@pytest.mark.parametrize('start_s', [0.5, 0.1])
def test_sound_that_begins_late_is_preceded_by_silence(tmp_path, extension, start_s):
    path = tmp_path / f'a.{extension}'
    sound = SoundStyle(codec='pcm_s16le' if extension == 'mov' else None, start_s=start_s)
    write_video(path, numbered_images(40, *SMALL), 20, clicks(1.5, [0.0, 1.0]), sound=sound)
    recording = Recording.open(path)
    samples = heard(recording)
    assert find_clicks(samples) == pytest.approx([start_s, start_s + 1.0], abs=0.002)
    assert np.abs(samples[: int((start_s - 0.05) * 16_000)]).max() < 0.01
    assert recording.decoded.is_complete


def test_pictures_that_begin_late_keep_their_distance_to_the_sound(tmp_path):
    times = [0.4 + n / 20 for n in range(20)]
    path = write_video(tmp_path / 'a.mkv', numbered_images(20, *SMALL), 20, clicks(1.4, [0.2, 1.0]), times_s=times)
    recording = Recording.open(path)
    assert [frame.time_s for frame in recording.frames()] == pytest.approx(times, abs=0.001)
    assert find_clicks(heard(recording)) == pytest.approx([0.2, 1.0], abs=0.001)


def test_a_container_that_begins_at_five_seconds_begins_at_zero_here(tmp_path):
    times = [5 + n / 20 for n in range(20)]
    sound = SoundStyle(codec='flac', start_s=5.0)
    path = write_video(
        tmp_path / 'a.mkv', numbered_images(20, *SMALL), 20, clicks(1.0, [0.5]), times_s=times, sound=sound
    )
    recording = Recording.open(path)
    assert [frame.time_s for frame in recording.frames()][:2] == pytest.approx([0.0, 0.05], abs=0.001)
    assert find_clicks(heard(recording)) == pytest.approx([0.5], abs=0.001)
    assert recording.origin_s == pytest.approx(5.0, abs=0.001)
    assert any('5.00 s' in sentence for sentence in recording.decoded.sentences)


def test_the_grid_picks_the_picture_on_screen(tmp_path):
    path = write_video(tmp_path / 'a.mp4', numbered_images(50, *SMALL), 25)
    picked = [read_number(frame.image) for frame in Recording.open(path).frames(rate_hz=10)]
    # grid 0, 0.1, 0.2, 0.3, 0.4 at 25 pictures a second: 0, 2 (0.08), 5, 7 (0.28), 10
    assert picked[:5] == [0, 2, 5, 7, 10]
    assert len(picked) == 20


@pytest.fixture(scope='module')
def uneven(tmp_path_factory):
    """60 numbered pictures at uneven times, and those times."""
    steps = np.random.default_rng(7).uniform(0.01, 0.15, 59)
    times = np.round(np.concatenate([[0.0], np.cumsum(steps)]), 3)
    path = tmp_path_factory.mktemp('clock') / 'uneven.mkv'
    write_video(path, numbered_images(60, *SMALL), 20, times_s=times, picture=PictureStyle('mpeg4'))
    return Recording.open(path), times


@settings(max_examples=25, deadline=None)
@given(rate_hz=st.floats(0.3, 60.0))
def test_subsampling_equals_the_plain_definition(uneven, rate_hz):
    recording, times = uneven
    frames = list(recording.frames(rate_hz=rate_hz))
    end_s = times[-1] + 0.05
    grid = np.arange(0, int(end_s * rate_hz) + 2) / rate_hz
    # on screen at g: the last picture whose time is at most g (to a millisecond, the container's clock)
    expected = sorted({int(np.searchsorted(times, g + 0.001, 'right')) - 1 for g in grid if g < end_s - 0.001})
    found = [read_number(frame.image) for frame in frames]
    assert all(b.time_s > a.time_s for a, b in pairwise(frames))
    assert [frame.time_s for frame in frames] == pytest.approx(times[found], abs=0.0006)
    # grid times within rounding of a picture's own time may go either way
    unsure = {n for g in grid for n in np.flatnonzero(np.abs(times - g) < 0.0021)}
    unsure |= {n - 1 for n in unsure} | {59}
    assert set(found) ^ set(expected) <= unsure


@pytest.fixture(scope='module')
def speech(tmp_path_factory):
    """3.7 s of noise at 44.1 kHz in FLAC."""
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, round(3.7 * 44_100)).astype(np.float32)
    return Recording.open(write_audio(tmp_path_factory.mktemp('clock') / 'a.flac', noise, 44_100))


@settings(max_examples=20, deadline=None)
@given(rate_hz=st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000]), block_s=st.floats(0.01, 5.0))
def test_blocks_follow_each_other_without_holes_and_add_up(speech, rate_hz, block_s):
    blocks = list(speech.samples(rate_hz, block_s))
    size = max(1, round(block_s * rate_hz))
    starts = np.cumsum([0] + [len(block.samples) for block in blocks])
    assert [block.start_s * rate_hz for block in blocks] == pytest.approx(starts[:-1])
    assert all(len(block.samples) == size for block in blocks[:-1])
    assert starts[-1] == pytest.approx(3.7 * rate_hz, abs=2)
    assert speech.decoded.audio.decoded_s == pytest.approx(3.7, abs=1e-6)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(5, 400), min_size=1, max_size=25), suffix=st.sampled_from(['.mkv', '.mp4']))
def test_any_increasing_times_come_back(tmp_path, steps, suffix):
    times = np.cumsum([0, *steps]) / 1000
    path = tmp_path / f'any{suffix}'
    write_video(path, numbered_images(len(times), *SMALL), 25, times_s=times, picture=PictureStyle('mpeg4'))
    found = [frame.time_s for frame in Recording.open(path).frames()]
    assert found == pytest.approx(times, abs=0.00051)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hole_s=st.floats(0.1, 3.0))
def test_a_hole_in_the_sound_becomes_silence_of_its_length_and_is_said(tmp_path, hole_s):
    path = tmp_path / 'hole.mkv'
    with MediaWriter(path, None, None, (SoundStyle(codec='pcm_s16le'),)) as writer:
        writer.add_sound(clicks(0.5, [0.1]))
        writer._written[0] += round(hole_s * 16_000)
        writer.add_sound(clicks(0.5, [0.2]))
    recording = Recording.open(path)
    samples = heard(recording)
    assert find_clicks(samples) == pytest.approx([0.1, 0.7 + hole_s], abs=0.002)
    assert len(samples) / 16_000 == pytest.approx(1.0 + hole_s, abs=0.002)
    assert recording.decoded.audio.gap_s == pytest.approx(hole_s, abs=0.002)
    assert recording.decoded.audio.decoded_s == pytest.approx(1.0, abs=0.002)
    assert not recording.decoded.is_complete


def test_a_hole_in_the_pictures_is_said(tmp_path):
    # a constant rate is declared (Matroska's default duration), two of 40 pictures are missing
    times = [n / 20 for n in range(40) if n not in (17, 18)]
    path = write_video(
        tmp_path / 'a.mkv', numbered_images(38, *SMALL), 20, times_s=times, picture=PictureStyle('mpeg4')
    )
    recording = Recording.open(path)
    assert sum(1 for _ in recording.frames()) == 38
    assert recording.decoded.video.gap_s == pytest.approx(0.1, abs=0.002)
    assert recording.decoded.sentences == ('video: 0.10 s without frames inside the stream',)


def test_stopping_early_is_not_called_damage(tmp_path):
    recording = Recording.open(write_video(tmp_path / 'a.mp4', numbered_images(40, *SMALL), 20, tone(2.0)))
    next(recording.frames())
    next(recording.samples(block_s=0.5))
    report = recording.decoded
    assert report.video.ended_early
    assert report.audio.ended_early
    assert report.sentences == ()
    assert not report.is_complete

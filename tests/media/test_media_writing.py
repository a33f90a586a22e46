"""What is written comes back; joined and copied files keep the clock."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import MediaError, ShapeError, UnknownNameError, ValueRangeError
from affekt.media import Recording
from affekt.media.joining import mux, poster, web_copy, with_sound
from affekt.media.synthetic import (
    clicks,
    find_clicks,
    numbered_image,
    numbered_images,
    read_number,
    tone,
    upright_corner,
)
from affekt.media.writing import MediaWriter, PictureStyle, SoundStyle, write_audio, write_image, write_video


@settings(max_examples=50, deadline=None)
@given(number=st.integers(0, 2**20 - 1), width=st.integers(48, 400), height=st.integers(48, 400))
def test_a_numbered_picture_shows_its_number_at_any_size(number, width, height):
    image = numbered_image(number, width, height)
    assert image.shape == (height, width, 3)
    assert read_number(image) == number
    assert upright_corner(image) == 'top left'
    assert upright_corner(image[:, ::-1]) == 'top right'


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.floats(0.06, 0.5), min_size=1, max_size=8))
def test_clicks_are_found_where_they_were_put(steps):
    times = np.cumsum(steps)
    found = find_clicks(clicks(float(times[-1]) + 0.1, list(times)))
    # a click begins on a whole sample
    assert found == pytest.approx(times, abs=0.5 / 16_000 + 1e-9)


def test_silence_holds_no_clicks():
    assert find_clicks(np.zeros(1000, np.float32)) == []


def test_a_numbered_picture_has_bounds():
    with pytest.raises(ValueRangeError):
        numbered_image(2**20)
    with pytest.raises(ShapeError):
        numbered_image(0, 20, 20)


def test_an_interrupted_write_leaves_nothing_behind(tmp_path):
    def images():
        yield numbered_image(0, 96, 72)
        raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'):
        write_video(tmp_path / 'a.mp4', images(), 10)
    assert list(tmp_path.iterdir()) == []


def test_the_writer_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(UnknownNameError, match='mp4'):
        write_video(tmp_path / 'a.xyz', [], 10)
    with pytest.raises(ValueRangeError):
        write_video(tmp_path / 'a.mp4', [], 0)
    with pytest.raises(ValueRangeError, match='Opus'):
        write_audio(tmp_path / 'a.ogg', tone(0.1, rate_hz=44_100), 44_100)
    with pytest.raises(ShapeError, match='even'):
        write_video(tmp_path / 'odd.mp4', [np.zeros((33, 32, 3), np.uint8)], 10)
    assert list(tmp_path.iterdir()) == []
    with MediaWriter(tmp_path / 'b.mkv', 10, PictureStyle('mpeg4')) as writer:
        writer.add_picture(numbered_image(0, 64, 48))
        with pytest.raises(ShapeError):
            writer.add_picture(numbered_image(0, 66, 48))
        with pytest.raises(ShapeError):
            writer.add_picture(np.zeros((48, 64, 3), np.float32))
        with pytest.raises(ValueRangeError, match='increase'):
            writer.add_picture(numbered_image(1, 64, 48), 0.0)


def test_a_face_and_a_voice_join_and_the_voice_decides_the_length(tmp_path):
    face = write_video(tmp_path / 'face.mp4', numbered_images(10, 96, 72), 10)
    voice = write_audio(tmp_path / 'voice.wav', clicks(2.5, [0.3, 2.2], 22_050), 22_050)
    recording = Recording.open(mux(face, voice, tmp_path / 'both.mp4'))
    numbers = [read_number(frame.image) for frame in recording.frames()]
    # 2.5 s at 10 a second from a clip of ten pictures: twice round and a half
    assert numbers == [*range(10), *range(10), *range(5)]
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert find_clicks(heard) == pytest.approx([0.3, 2.2], abs=0.002)
    assert recording.decoded.is_complete


def test_a_face_of_which_no_picture_decodes_is_refused(tmp_path):
    film = write_video(tmp_path / 'film.mkv', numbered_images(6), 10, clicks(0.6, [0.2]))
    content = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                begin = content.find(bytes(packet))
                content[begin : begin + packet.size] = bytes(packet.size)
    film.write_bytes(content)
    voice = write_audio(tmp_path / 'voice.wav', clicks(1.0, [0.5]), 16_000)
    with pytest.raises(MediaError, match=r'none in film\.mkv'):
        mux(film, voice, tmp_path / 'joined.mp4')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['film.mkv', 'voice.wav']


def test_what_fails_at_its_end_leaves_nothing_behind(tmp_path, monkeypatch):
    writer = MediaWriter(tmp_path / 'a.wav', sounds=[SoundStyle()])

    def close():
        raise OSError(28, 'No space left on device')

    with pytest.raises(OSError, match='No space'), writer:
        writer.add_sound(tone(0.1))
        container = writer._container
        writer._container = SimpleNamespace(mux=container.mux, close=close)
    container.close()
    assert not list(tmp_path.iterdir())


def test_a_video_needs_a_picture_and_a_time_for_each(tmp_path):
    with pytest.raises(ShapeError, match=r'at least one frame of a\.mp4; got none'):
        write_video(tmp_path / 'a.mp4', [], 10, tone(0.5))
    with pytest.raises(ShapeError, match='one time per frame; got 2 times'):
        write_video(tmp_path / 'a.mp4', numbered_images(3), 10, times_s=[0.0, 0.1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('rate_hz', [25, 24_000 / 1001, 30_000 / 1001, 29.8712, 120_000 / 1001])
def test_frames_keep_their_own_times_at_any_nominal_rate(tmp_path, rate_hz):
    images, times = [np.full((16, 16, 3), 40 * number, np.uint8) for number in range(5)], (0, 0.034, 0.05, 0.1, 0.19)
    write_video(tmp_path / 'v.mp4', images, rate_hz, times_s=times)
    found = [frame.time_s for frame in Recording.open(tmp_path / 'v.mp4').frames()]
    np.testing.assert_allclose(found, times, atol=1e-4)
    with pytest.raises(ValueRangeError, match='mp4 or mkv'):
        write_video(tmp_path / 'v.avi', images, rate_hz / 5, times_s=times)


def test_a_longer_face_is_cut_to_the_voice(tmp_path):
    face = write_video(tmp_path / 'face.webm', numbered_images(30, 97, 73), 10, tone(3.0))
    voice = write_audio(tmp_path / 'voice.flac', tone(1.0), 16_000)
    recording = Recording.open(mux(face, voice, tmp_path / 'both.mp4'))
    assert [read_number(frame.image) for frame in recording.frames()] == list(range(10))
    with pytest.raises(MediaError):
        mux(voice, face, tmp_path / 'c.mp4')


def test_a_web_copy_keeps_the_clock_of_an_upright_small_picture(tmp_path):
    times = np.cumsum([0.0, *([0.02, 0.07, 0.1] * 8)])
    stored = [np.ascontiguousarray(np.rot90(numbered_image(n, 320, 200), -1)) for n in range(len(times))]
    path = write_video(
        tmp_path / 'a.mkv', stored, 20, clicks(1.6, [0.4, 1.1]), times_s=times, picture=PictureStyle(rotation_deg=90)
    )
    recording = Recording.open(path)
    copy = Recording.open(web_copy(recording, tmp_path / 'copy.mp4', max_height=100))
    assert (copy.video.codec, copy.video.pixel_format, copy.audio[0].codec) == ('h264', 'yuv420p', 'aac')
    assert (copy.video.width, copy.video.height, copy.video.rotation_deg) == (160, 100, 0)
    found = {read_number(frame.image): frame.time_s for frame in copy.frames()}
    assert found == {n: pytest.approx(time, abs=0.001) for n, time in enumerate(times)}
    heard = np.concatenate([block.samples for block in copy.samples()])
    assert find_clicks(heard) == pytest.approx([0.4, 1.1], abs=0.002)


def test_a_web_copy_holds_pictures_that_come_faster_than_their_mean(tmp_path):
    times = np.cumsum([0.0, 0.1041, *([0.04] * 20)])
    path = write_video(tmp_path / 'a.mp4', numbered_images(len(times), 160, 120), 25, times_s=times)
    recording = Recording.open(path)
    assert recording.video.rate_hz < 24.9
    copy = Recording.open(web_copy(recording, tmp_path / 'copy.mp4', max_height=100))
    assert [frame.time_s for frame in copy.frames()] == pytest.approx(times, abs=0.001)


def test_a_small_playable_file_is_copied_as_it_is(tmp_path):
    path = write_video(tmp_path / 'a.mp4', numbered_images(10, 96, 72), 10, tone(1.0))
    copy = web_copy(Recording.open(path), tmp_path / 'copy.mp4')
    assert copy.read_bytes() == path.read_bytes()


def test_a_web_copy_of_sound_alone_and_none_of_a_still(tmp_path):
    song = Recording.open(write_audio(tmp_path / 'a.wav', tone(1.0), 16_000))
    copy = Recording.open(web_copy(song, tmp_path / 'copy.mp4'))
    assert (copy.kind, copy.duration_s) == ('audio', pytest.approx(1.0, abs=0.05))
    still = Recording.open(write_image(tmp_path / 'a.png', numbered_image(1, 64, 48)))
    with pytest.raises(MediaError):
        web_copy(still, tmp_path / 'b.mp4')


def test_a_poster_is_the_picture_on_screen_at_that_time(tmp_path):
    recording = Recording.open(write_video(tmp_path / 'a.mp4', numbered_images(20, 160, 120), 10))
    for time_s, expected in ((0.0, 0), (0.95, 9), (1.0, 10), (99.0, 19)):
        image = next(Recording.open(poster(recording, tmp_path / 'p.jpg', time_s)).frames()).image
        assert read_number(image) == expected


def test_other_sound_leaves_every_picture_as_it_was(tmp_path):
    write_video(tmp_path / 'a.mp4', numbered_images(30), 25.0, tone(1.2), 16_000)
    with_sound(tmp_path / 'a.mp4', tone(1.2, 880.0), 16_000, tmp_path / 'b.mp4')
    old, new = (list(Recording.open(tmp_path / name).frames()) for name in ('a.mp4', 'b.mp4'))
    assert [frame.time_s for frame in old] == pytest.approx([frame.time_s for frame in new], abs=1e-6)
    assert all((left.image == right.image).all() for left, right in zip(old, new, strict=True))
    sound = np.concatenate([block.samples for block in Recording.open(tmp_path / 'b.mp4').samples(16_000)])
    spectrum = np.abs(np.fft.rfft(sound[1600:17600]))
    assert spectrum.argmax() == 880


@pytest.mark.parametrize(('name', 'kind'), [('a.wav', 'audio'), ('a.png', 'image')])
def test_a_file_that_is_no_video_takes_no_other_sound(tmp_path, name, kind):
    write_audio(tmp_path / 'a.wav', tone(0.5), 16_000)
    write_image(tmp_path / 'a.png', np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(MediaError, match=f'expected a video; got {name}, {kind}; pass a file with video'):
        with_sound(tmp_path / name, tone(0.5), 16_000, tmp_path / 'b.mp4')
    assert not list(tmp_path.glob('*b*'))


def test_the_same_pictures_are_the_same_bytes_in_every_process(tmp_path):
    # with x264's tree of macroblocks, this clip came out in up to four sizes
    code = (
        'import sys\nfrom affekt.corpora.made_up_faces import FaceCorpus\nfrom affekt.media import write_video\n'
        'write_video(sys.argv[1], list(FaceCorpus(8, 4, seconds=0.4, rate_hz=10).clip(7)), 10.0)'
    )
    paths = [tmp_path / f'{number}.mp4' for number in range(3)]
    for process in [subprocess.Popen([sys.executable, '-c', code, path]) for path in paths]:
        assert process.wait() == 0
    assert len({path.read_bytes() for path in paths}) == 1

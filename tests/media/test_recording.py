"""A recording opens by content, refuses what is no media file, and yields every kind of file."""

from __future__ import annotations

import hashlib
import io
import os

import numpy as np
import pytest

from affekt.errors import MediaError, UnknownNameError, ValueRangeError
from affekt.media import Recording, Subtitle
from affekt.media.joining import with_subtitles
from affekt.media.synthetic import clicks, numbered_image, numbered_images, read_number, tone
from affekt.media.writing import MediaWriter, PictureStyle, SoundStyle, write_audio, write_image, write_video


@pytest.mark.parametrize('extension', ['mp4', 'mov', 'mkv', 'webm', 'avi'])
def test_every_video_container_yields_all_pictures_and_all_sound(tmp_path, extension):
    path = write_video(tmp_path / f'a.{extension}', numbered_images(20, 96, 72), 20, tone(1.0))
    recording = Recording.open(path)
    assert recording.kind == 'video'
    assert [read_number(frame.image) for frame in recording.frames()] == list(range(20))
    samples = sum(len(block.samples) for block in recording.samples())
    # 1 s at 16 kHz; AAC rounds up to whole units of 1024 samples
    assert 16_000 <= samples <= 16_000 + 1024
    assert recording.decoded.is_complete
    assert recording.decoded.video.decoded_s == pytest.approx(1.0, abs=0.001)
    assert (recording.video.width, recording.video.height, recording.video.rate_hz) == (96, 72, pytest.approx(20))


@pytest.mark.parametrize('extension', ['wav', 'mp3', 'flac', 'm4a', 'ogg'])
def test_every_sound_container_yields_the_tone_that_went_in(tmp_path, extension):
    sound = tone(1.0, 440.0, loudness=0.5)
    recording = Recording.open(write_audio(tmp_path / f'a.{extension}', sound, 16_000))
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert recording.kind == 'audio'
    assert list(recording.frames()) == []
    assert recording.duration_s == pytest.approx(1.0, abs=0.05)
    assert heard.dtype == np.float32
    # sample n is heard at n / 16000 s, so the tone lies where it was; lossy codecs keep 0.97 of its shape
    assert np.corrcoef(heard[:16_000], sound)[0, 1] > 0.97
    assert recording.decoded.is_complete


@pytest.mark.parametrize('extension', ['jpg', 'png', 'webp', 'bmp'])
def test_a_still_is_a_recording_of_one_picture_and_no_length(tmp_path, extension):
    recording = Recording.open(write_image(tmp_path / f'a.{extension}', numbered_image(77, 100, 60)))
    frames = list(recording.frames(rate_hz=25))
    assert (recording.kind, recording.duration_s, recording.audio) == ('image', 0.0, ())
    assert [read_number(frame.image) for frame in frames] == [77]
    assert frames[0].time_s == 0.0
    assert list(recording.samples()) == []
    assert recording.decoded.is_complete


def test_bytes_and_file_objects_read_like_the_file(tmp_path):
    path = write_video(tmp_path / 'a.mp4', numbered_images(10, 96, 72), 20, tone(0.5))
    content = path.read_bytes()
    expected = [(f.time_s, f.image.tobytes()) for f in Recording.open(path).frames()]
    with open(path, 'rb') as file:
        for origin in (content, io.BytesIO(content), file):
            recording = Recording.open(origin)
            pictures = recording.frames()
            sound = recording.samples()  # both passes at once, on one file object
            first = next(pictures)
            next(sound)
            assert [(f.time_s, f.image.tobytes()) for f in (first, *pictures)] == expected
            assert recording.path is None
            assert recording.sha256() == hashlib.sha256(content).hexdigest()


def test_a_wrong_extension_is_read_by_content_and_noted(tmp_path):
    path = write_audio(tmp_path / 'a.wav', tone(0.2), 16_000).rename(tmp_path / 'a.mp4')
    recording = Recording.open(path)
    list(recording.samples())
    assert recording.kind == 'audio'
    assert recording.decoded.sentences == ('the name ends in .mp4, the content is wav; read by content',)
    assert recording.decoded.is_complete


def test_what_is_no_file_gives_one_clear_error(tmp_path):
    (tmp_path / 'empty.mp4').touch()
    os.mkfifo(tmp_path / 'pipe.mp4')
    for path in (tmp_path, tmp_path / 'absent.mp4', tmp_path / 'empty.mp4', tmp_path / 'pipe.mp4', b''):
        with pytest.raises(MediaError):
            Recording.open(path)
    with pytest.raises(MediaError, match='binary'):
        Recording.open(io.StringIO('text'))


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_file_without_permission_says_so(tmp_path):
    path = write_audio(tmp_path / 'a.wav', tone(0.1), 16_000)
    path.chmod(0)
    with pytest.raises(MediaError, match='ermission'):
        Recording.open(path)


@pytest.mark.parametrize(
    'address',
    ['http://example.invalid/a.mp4', 'concat:a.mp4|b.mp4', 'file:a.mp4', 'data:video/mp4;base64,AAAA', 'rtsp://x'],
)
def test_an_address_is_refused_as_an_address(address):
    with pytest.raises(MediaError, match='looks like an address'):
        Recording.open(address)


@pytest.mark.parametrize(
    'content',
    [
        '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n',
        '\ufeff#EXTM3U\n#EXTINF:1,\n{secret}\n',
        'ffconcat version 1.0\nfile {secret}\n',
        '<?xml version="1.0"?><MPD><BaseURL>{secret}</BaseURL></MPD>',
        'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 RTP/AVP 0\n',
        'TITLE "x"\nFILE "{secret}" WAVE\n',
        'just text\n',
    ],
)
def test_a_playlist_cannot_make_it_open_another_file(tmp_path, content):
    secret = write_audio(tmp_path / 'secret.wav', tone(0.2), 16_000)
    for name in ('list.m3u8', 'list.mp4', 'list.txt'):
        path = tmp_path / name
        path.write_text(content.format(secret=secret), encoding='utf-8')
        with pytest.raises(MediaError):
            Recording.open(path)


def test_names_that_mean_something_to_ffmpeg_are_plain_names_here(tmp_path):
    for name in ('shot%03d.mp4', 'a:b.mp4', '-i.mp4', 'concat:x|y.mp4', '日本.mp4'):
        path = write_video(tmp_path / 'plain.mp4', numbered_images(3, 96, 72), 10).rename(tmp_path / name)
        assert sum(1 for _ in Recording.open(path).frames()) == 3


def test_several_sound_streams_are_chosen_by_number(tmp_path):
    path = tmp_path / 'two.mkv'
    with MediaWriter(path, 20, None, (SoundStyle(), SoundStyle())) as writer:
        for image in numbered_images(20, 96, 72):
            writer.add_picture(image)
        writer.add_sound(np.zeros(16_000, np.float32), 0)
        writer.add_sound(clicks(1.0, [0.5]), 1)
    recording = Recording.open(path)
    silent, loud = (np.concatenate([b.samples for b in recording.samples(stream=n)]) for n in (0, 1))
    assert len(recording.audio) == 2
    assert np.abs(silent).max() < 0.01 < 0.3 < np.abs(loud).max()
    assert recording.audible_stream() == 1
    assert recording.decoded.sentences[-1].startswith('2 audio streams; number 1 (aac, mono) is read')
    with pytest.raises(UnknownNameError):
        recording.samples(stream=2)


def test_a_cover_picture_does_not_make_a_song_a_video(tmp_path, shared_data):
    song = write_audio(tmp_path / 'a.mp3', tone(0.3), 16_000)
    # an ID3v2.3 tag with one APIC frame, written by hand: sizes are big-endian, the tag's is 4 x 7 bits
    picture = (shared_data / 'test_media' / 'single_face.jpg').read_bytes()
    body = b'\0image/jpeg\0\x03\0' + picture
    frame = b'APIC' + len(body).to_bytes(4, 'big') + b'\0\0' + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / 'cover.mp3'
    content = song.read_bytes()
    length = 10 + sum((o & 0x7F) << s for o, s in zip(content[6:10], (21, 14, 7, 0), strict=True))
    path.write_bytes(b'ID3\x03\0\0' + size + frame + content[length:])
    recording = Recording.open(path)
    assert recording.kind == 'audio'
    assert sum(len(b.samples) for b in recording.samples()) == pytest.approx(4800, abs=10)
    assert recording.decoded.is_complete


@pytest.mark.parametrize('extension', ['mp4', 'mkv'])
def test_embedded_subtitles_come_with_times_and_without_markup(tmp_path, extension):
    plain = write_video(tmp_path / 'plain.mp4', numbered_images(40, 96, 72), 20, picture=PictureStyle('mpeg4'))
    lines = [Subtitle(0.25, 0.75, 'So <i>glad</i>\nto see you'), Subtitle(1.0, 1.5, 'And you')]
    path = with_subtitles(plain, lines, tmp_path / f'said.{extension}')
    assert Recording.open(plain).subtitles() is None
    found = Recording.open(path).subtitles()
    assert [line.text for line in found] == ['So glad\nto see you', 'And you']
    assert [(line.start_s, line.end_s) for line in found] == [pytest.approx((a.start_s, a.end_s)) for a in lines]
    assert sum(1 for _ in Recording.open(path).frames()) == 40


def test_senseless_rates_are_refused(tmp_path):
    recording = Recording.open(write_audio(tmp_path / 'a.wav', tone(0.1), 16_000))
    for wrong in (0, -1, float('nan'), float('inf')):
        with pytest.raises(ValueRangeError):
            recording.frames(rate_hz=wrong)
        with pytest.raises(ValueRangeError):
            recording.samples(block_s=wrong)


def test_a_real_clip_yields_what_it_declares(shared_data):
    recording = Recording.open(shared_data / 'media' / 'driving.mp4')
    times = [frame.time_s for frame in recording.frames()]
    # 220 pictures at 24 a second; the last one begins at 219 / 24 s
    assert len(times) == 220
    assert times[-1] == pytest.approx(219 / 24, abs=1e-6)
    assert recording.audio == ()
    assert recording.decoded.is_complete


@pytest.mark.parametrize('name', ['single_face.mp4', 'no_face.mp4', 'WolfgangLanger_Pexels.mp4', 'two_cities.wav'])
def test_whole_real_files_raise_no_false_alarm(shared_data, name):
    recording = Recording.open(shared_data / 'test_media' / name)
    pictures = sum(1 for _ in recording.frames(rate_hz=2, max_side=64))
    seconds = sum(len(block.samples) for block in recording.samples()) / 16_000
    assert recording.decoded.is_complete, recording.decoded.sentences
    assert seconds == pytest.approx(recording.duration_s, abs=0.1)
    assert pictures == (0 if recording.kind == 'audio' else pytest.approx(2 * recording.duration_s, abs=1.2))

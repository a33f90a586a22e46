"""Clips: what they hold, and how they come out of media."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.clips import Clip, ClipSettings, decoded, folder_clip, sample_clip
from affekt.clips.clip import _published, is_silent
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import LimitError, MediaError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.faces import FER_TEMPLATE, FaceLandmarker, five_points
from affekt.media import write_audio, write_video
from affekt.media.synthetic import clicks, find_clicks, numbered_images, read_number, tone
from affekt.media.writing import write_image


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task', threads=1)


@pytest.fixture
def video(tmp_path):
    """2 s at 12.5 pictures a second, with a click at 0.5 s and at 1.5 s."""
    return write_video(tmp_path / 'numbers.mp4', numbered_images(25), 12.5, clicks(2.0, [0.5, 1.5]))


def test_a_clip_of_one_modality_says_that_the_other_is_missing():
    clip = Clip('a', None, None, np.zeros(8_000, np.float32))
    assert repr(clip) == "Clip('a', no frames, 0.50 s of audio)"


def test_frames_of_another_type_or_number_than_their_times_are_refused():
    with pytest.raises(ShapeError, match='of uint8'):
        Clip('a', np.zeros((2, 4, 4, 3), np.float32), None, None)
    with pytest.raises(ShapeError, match='times of 2 frames'):
        Clip('a', np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3), None)
    with pytest.raises(ShapeError, match='of float32'):
        Clip('a', None, None, np.zeros(0, np.float32))


def test_frames_come_once_each_at_the_times_of_the_recording(video):
    clip = decoded(video, 96, crop='none')
    assert clip.name == 'numbers'
    assert clip.frames.shape == (25, 96, 96, 3)
    assert [read_number(frame) for frame in clip.frames] == list(range(25))
    assert clip.times_s == pytest.approx(np.arange(25) / 12.5, abs=1e-3)
    assert find_clicks(clip.sound) == pytest.approx([0.5, 1.5], abs=0.01)
    assert (clip.missing, clip.notes) == ({}, ())


def test_a_window_is_a_clip_that_begins_at_its_start(video):
    clip = decoded(video, 96, crop='none', window_s=(0.8, 1.6))
    assert [read_number(frame) for frame in clip.frames] == list(range(10, 20))
    assert clip.times_s == pytest.approx(np.arange(10) / 12.5, abs=1e-3)
    assert len(clip.sound) == pytest.approx(0.8 * 16_000, abs=1)
    assert find_clicks(clip.sound) == pytest.approx([0.7], abs=0.01)


def test_a_window_behind_the_end_says_so_and_one_that_is_none_is_refused(video):
    with pytest.raises(MediaError, match=r'no frame from 5 s to 6\.5 s; audio: no audio from 5 s to 6\.5 s'):
        decoded(video, crop='none', window_s=(5.0, 6.5))
    for window_s in ((-1.0, 0.5), (1.0, 1.0), (1.5, 0.5), (float('nan'), 1.0)):
        with pytest.raises(ValueRangeError, match='begins at 0 s or later and ends after it begins'):
            decoded(video, crop='none', window_s=window_s)


def test_a_modality_that_is_not_asked_for_is_not_decoded(video):
    heard, seen = decoded(video, modalities=['audio']), decoded(video, crop='none', modalities=['video'])
    assert (heard.frames, heard.missing) == (None, {})
    assert (seen.sound, seen.missing) == (None, {})


def test_sound_may_lie_in_a_file_of_its_own_at_another_rate(video, tmp_path):
    wav = write_audio(tmp_path / 'voice.wav', tone(2.0, 440.0, 44_100), 44_100)
    clip = decoded(video, crop='none', audio=wav)
    strengths = np.abs(np.fft.rfft(clip.sound[:16_000]))
    assert int(strengths.argmax()) == 440  # in Hz, as the window is one second
    assert len(clip.sound) == pytest.approx(32_000, abs=2)


def test_the_published_crop_is_the_upper_centre():
    rows, columns = np.mgrid[:224, :224].astype(np.uint8)
    image = np.stack([rows, columns, rows], axis=-1)
    assert np.array_equal(_published(image, 160), image[0:160, 32:192])
    assert np.array_equal(_published(image, 192), image[0:192, 16:208])
    assert _published(image, 96).shape == (96, 96, 3)
    with pytest.raises(MediaError, match=r"got frames of 300 x 224; choose the crop 'faces'"):
        _published(np.zeros((224, 300, 3), np.uint8), 160)


def test_a_video_without_a_face_is_heard_and_says_why_it_is_not_seen(video, landmarker):
    clip = decoded(video, landmarker=landmarker)
    assert clip.frames is None
    assert clip.times_s is None
    assert clip.missing == {'video': 'no face in 25 frames'}
    assert len(clip.sound) > 31_000


def test_without_the_model_that_finds_faces_no_clip_passes_for_one_without_video(video, monkeypatch):
    def absent(*given):
        raise WeightsError(expected='face_landmarker.task', came='no such file', todo='fetch it')

    monkeypatch.setattr('affekt.faces.FaceLandmarker', absent)
    manifest = Manifest(Facts('made up', root=str(video.parent)), [Sample('a', video=video.name)])
    with pytest.raises(WeightsError, match='face_landmarker'):
        sample_clip(manifest, manifest.samples[0])


def test_silence_is_no_sound(tmp_path):
    path = write_video(tmp_path / 'still.mp4', numbered_images(5), 10, np.zeros(8_000, np.float32))
    clip = decoded(path, crop='none')
    assert clip.sound is None
    assert clip.missing == {'audio': 'silent'}


def test_a_short_word_in_a_long_pause_is_not_silence():
    sound = np.zeros(160_000, np.float32)
    assert is_silent(sound)
    sound[80_000:81_000] = 0.01
    assert not is_silent(sound)


def test_a_constant_is_silent_and_a_tone_on_it_is_not():
    constant = np.full(32_000, 0.5, np.float32)
    assert is_silent(constant)
    assert not is_silent(constant + 0.1 * tone(2.0)[:32_000])


def test_a_clip_of_which_nothing_can_be_used_says_both_reasons(tmp_path, landmarker):
    path = write_video(tmp_path / 'nobody.mp4', numbered_images(5), 10)
    with pytest.raises(
        MediaError, match=r'expected frames or audio .* video: no face in 5 frames; audio: the file has no'
    ):
        decoded(path, landmarker=landmarker)
    with pytest.raises(MediaError, match=r'expected audio that can be used .* no audio; choose another file$'):
        decoded(path, modalities=('audio',))


def test_less_sound_than_a_spectrogram_needs_is_none(tmp_path):
    wav = write_audio(tmp_path / 'blip.wav', tone(0.01), 16_000)
    with pytest.raises(MediaError, match='audio: only 10 ms of audio'):
        decoded(wav)


def test_a_photograph_is_refused(tmp_path):
    path = write_image(tmp_path / 'photo.jpg', np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(MediaError, match=r'the photograph photo\.jpg'):
        decoded(path)


def test_a_recording_that_is_longer_than_a_clip_may_be_is_refused(video):
    with pytest.raises(LimitError, match='at most 1 s'):
        decoded(video, crop='none', longest_s=1.0)
    with pytest.raises(LimitError, match='at most 1 s'):
        decoded(video, modalities=['audio'], longest_s=1.0)


def test_more_frames_than_memory_has_room_for_are_refused(video, tmp_path, monkeypatch):
    monkeypatch.setattr('affekt.clips.clip.MOST_FRAMES', 24)
    with pytest.raises(LimitError, match=r'at most 24 frames a clip; got more in numbers\.mp4'):
        decoded(video, crop='none')
    for number in range(25):
        (tmp_path / f'{number}.png').write_bytes(b'')
    with pytest.raises(LimitError, match='at most 24 frames a clip'):
        folder_clip(tmp_path)


def test_a_damaged_recording_gives_what_decodes_and_says_what_is_lost(video, tmp_path):
    content = bytearray(write_video(tmp_path / 'whole.avi', numbered_images(50), 25, tone(2.0)).read_bytes())
    cut = tmp_path / 'cut.avi'
    cut.write_bytes(content[: len(content) // 2])
    clip = decoded(cut, 96, crop='none')
    assert 0 < len(clip.frames) < 50
    assert [read_number(frame) for frame in clip.frames] == list(range(len(clip.frames)))
    assert clip.notes == clip.damage
    assert clip.damage[0].startswith('cut short: ')
    of_sound = decoded(cut, modalities=('audio',))
    assert set(of_sound.damage) < set(clip.damage)
    assert of_sound.damage[0] == clip.damage[0]


def test_settings_that_do_not_exist_are_refused_by_name():
    with pytest.raises(UnknownNameError, match='faces, published, none'):
        ClipSettings(crop='face')
    with pytest.raises(UnknownNameError, match='video, audio or both'):
        ClipSettings(modalities=('text',))


def test_a_face_is_cut_out_so_that_its_parts_lie_where_the_template_has_them(shared_data, landmarker):
    clip = decoded(shared_data / 'test_media' / 'single_face.mp4', window_s=(0.0, 0.2), landmarker=landmarker)
    assert clip.frames.shape == (len(clip.times_s), 160, 160, 3)
    (face,) = landmarker.faces(clip.frames[0])
    distances = np.linalg.norm(five_points(face.landmarks) - FER_TEMPLATE * 160 / 48, axis=1)
    assert distances.max() < 10  # pixels; the template is a mean over people

"""Which file shows which clip, and which of them browsers do not play."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affekt.annotation.clips import clip_key, find_clips
from affekt.annotation.playable import playable_clips
from affekt.errors import MediaError
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import MediaWriter, SoundStyle, write_audio


def _touched(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return folder


def _path_of(sample: str, folder: Path) -> str:
    return find_clips([sample], folder)[clip_key(sample)].path.relative_to(folder.resolve()).as_posix()


def test_a_clip_is_found_by_name_ending_or_path(tmp_path):
    _touched(tmp_path, 'a.mp4', 'calm/p01.mp4', 'angry/p01.mp4', 'angry/b.wav')
    asked = ('a', 'a.mp4', 'calm/p01', 'angry/p01.mp4', 'b')
    assert [_path_of(sample, tmp_path) for sample in asked] == [
        'a.mp4', 'a.mp4', 'calm/p01.mp4', 'angry/p01.mp4', 'angry/b.wav']  # fmt: skip


def test_a_name_that_two_folders_have_is_refused_by_both_paths(tmp_path):
    _touched(tmp_path, 'calm/p01.mp4', 'angry/p01.mp4')
    with pytest.raises(MediaError, match=r'angry/p01\.mp4, calm/p01\.mp4'):
        find_clips(['p01'], tmp_path)
    # One at the top is called by its bare name, and it alone.
    _touched(tmp_path, 'p01.mp4')
    assert _path_of('p01', tmp_path) == 'p01.mp4'


def test_a_converted_clip_is_taken_for_its_original(tmp_path):
    _touched(tmp_path, 'a.mov', 'a.playable.mp4', 'b.wav', 'b.playable.mp3')
    assert [_path_of(sample, tmp_path) for sample in ('a', 'a.mov', 'b.wav')] == [
        'a.playable.mp4', 'a.playable.mp4', 'b.playable.mp3']  # fmt: skip


def test_names_in_another_unicode_form_are_the_same_names(tmp_path):
    decomposed = unicodedata.normalize('NFD', 'jürgen')
    _touched(tmp_path, f'{decomposed}.mp4')
    assert find_clips(['jürgen'], tmp_path).keys() == {clip_key('jürgen')}


def test_a_missing_clip_that_is_there_in_another_format_is_named_with_the_way_to_convert(tmp_path):
    with pytest.raises(MediaError, match=r'do not play a\.avi: convert them.*ffmpeg -i IN'):
        find_clips(['a'], _touched(tmp_path, 'a.avi'))


def test_codecs_that_browsers_do_not_play_are_noted_with_the_way_to_convert(tmp_path):
    with MediaWriter(tmp_path / 'good.mp4', 10.0) as writer:
        for number, image in enumerate(numbered_images(3)):
            writer.add_picture(image, number / 10)
    with MediaWriter(tmp_path / 'sound.mp4', None, sounds=(SoundStyle(16_000),)) as writer:
        writer.add_sound(tone(0.5))
    write_audio(tmp_path / 'good.wav', tone(0.5), 16_000)
    _old_codec(tmp_path / 'odd name.mp4')
    (tmp_path / 'broken.mp4').write_bytes(b'nothing')
    clips = find_clips(['good.mp4', 'sound', 'good.wav', 'odd name', 'broken'], tmp_path)
    known, notes = playable_clips(clips)
    assert known[clip_key('sound')].content_type == 'audio/mp4'
    assert {key: clip for key, clip in known.items() if key != clip_key('sound')} == {
        key: clip for key, clip in clips.items() if key != clip_key('sound')}  # fmt: skip
    assert len(notes) == 2
    assert '1 of the clips' in notes[0]
    assert 'odd name.mp4 (mpeg4 video)' in notes[0]
    assert f"ffmpeg -i '{(tmp_path / 'odd name.mp4').resolve()}' -c:v libx264" in notes[0]
    assert notes[1].startswith('1 of the clips cannot be read: broken.mp4 (')


def test_hevc_in_mp4_is_noted(tmp_path, shared_faults):
    shutil.copy(shared_faults / 'hevc_black_no_message.mp4', tmp_path / 'a.mp4')
    _, notes = playable_clips(find_clips(['a'], tmp_path))
    assert 'a.mp4 (hevc video)' in notes[0]


def _old_codec(path: Path) -> None:
    """A file of MPEG-4 part 2, which no browser plays."""
    import av

    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))


def test_pictures_that_move_play_and_others_are_converted_to_pictures(tmp_path):
    first, *more = [Image.new('RGB', (32, 24), (40 * shade, 0, 0)) for shade in range(3)]
    first.save(tmp_path / 'moves.gif', save_all=True, append_images=more)
    first.save(tmp_path / 'photo.tif')
    (tmp_path / 'photo.tif').rename(tmp_path / 'photo.png')
    clips, (note,) = playable_clips(find_clips(['moves', 'photo'], tmp_path))
    assert [clip.kind for clip in clips.values()] == ['image', 'image']
    assert 'moves.gif' not in note
    assert f'{tmp_path / "photo.playable.png"}' in note

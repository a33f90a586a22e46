"""The packed cache: what comes back, what a kill leaves, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from affekt.clips import Clip, ClipSettings, PackedClips, packed_clips, packing, sample_clip
from affekt.clips.cache_files import DATA, FRAMES, INDEX, SOUND
from affekt.clips.packed import _by_reason
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import (
    RunError,
    ShapeError,
    StorageError,
    TableError,
    UnknownNameError,
    ValueRangeError,
    WeightsError,
)
from affekt.media import write_audio, write_video
from affekt.media.synthetic import numbered_images, read_number, tone

SETTINGS = ClipSettings(size=48, crop='none')


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """Videos, sound alone, and what cannot be read."""
    root = tmp_path_factory.mktemp('sources')
    for at in range(4):
        images = numbered_images(10 + at, first=100 * at)
        write_video(root / f'v{at}.mkv', images, 12.5, tone(0.9, 200 + 100 * at))
    write_audio(root / 'voice.wav', tone(0.5), 16_000)
    (root / 'broken.mp4').write_bytes(b'no video at all')
    return root


@pytest.fixture
def manifest(sources):
    rows = [Sample(f'v{at}', video=f'v{at}.mkv') for at in range(4)]
    rows[2] = replace(rows[2], start_s=0.16, end_s=0.56)
    others = [Sample('voice', audio='voice.wav'), Sample('broken', video='broken.mp4'), Sample('nothing')]
    return Manifest(Facts('made up', root=str(sources)), [*rows[:2], others[1], *rows[2:], others[0], others[2]])


def _content(folder):
    return {name: (folder / name).read_bytes() for name in DATA}


def test_clips_come_back_as_they_were_decoded(manifest, tmp_path):
    clips = PackedClips.write(tmp_path / 'cache', manifest, SETTINGS)
    assert clips.names == ('v0', 'v1', 'v2', 'v3', 'voice')
    for at, name in enumerate(clips.names):
        decoded = sample_clip(manifest, manifest.samples[manifest.names.index(name)], SETTINGS)
        clip = clips[at]
        if decoded.frames is not None:
            assert np.array_equal(clip.frames, decoded.frames)
            assert np.array_equal(clip.times_s, decoded.times_s)
        assert np.abs(clip.sound - decoded.sound).max() <= 0.5 / 32_768
        assert (clip.name, clip.missing, clip.notes) == (name, decoded.missing, decoded.notes)
    assert [read_number(frame) for frame in clips.clip('v2').frames] == [202, 203, 204, 205, 206]
    assert clips[4].frames is None
    assert clips[4].times_s is None
    assert clips.frame_counts.tolist() == [10, 11, 5, 13, 0]
    assert clips.settings == SETTINGS
    clips.verify()


def test_sixteen_bits_come_back_exactly_and_floats_where_they_are_asked_for(tmp_path, rng):
    stored = rng.integers(-32_768, 32_768, 1_000).astype(np.float32) / 32_768
    floats = rng.uniform(-1, 1, 1_000).astype(np.float32)
    exact = PackedClips.of(tmp_path / 'a', [Clip('a', None, None, stored)])
    assert np.array_equal(exact[0].sound, stored)
    assert np.array_equal(
        PackedClips.of(tmp_path / 'b', [Clip('a', None, None, floats)], sound='float32')[0].sound, floats
    )
    assert exact.size == 0
    with pytest.raises(ValueRangeError, match='finite samples of audio; got others in a'):
        PackedClips.of(tmp_path / 'c', [Clip('a', None, None, np.array([0.0, np.nan], np.float32))])


def test_what_is_missing_is_counted_by_reason(manifest, tmp_path):
    clips = PackedClips.write(tmp_path / 'cache', manifest, SETTINGS)
    assert set(clips.failed) == {'broken', 'nothing'}
    assert clips.missing('video') == {'voice': 'the manifest names none'}
    assert clips.missing('audio') == {}
    first, *others = clips.sentences
    assert first == '5 of 7 clips, 4 with frames and 5 with audio'
    assert "no clip for 1: the manifest names none ('nothing')" in others
    assert "no video for 1: the manifest names none ('voice')" in others
    with pytest.raises(UnknownNameError, match="'nothing': the manifest names none"):
        clips.clip('nothing')
    assert clips.places(manifest).tolist() == [0, 1, -1, 2, 3, 4, -1]


def test_reasons_that_differ_in_numbers_alone_are_merged_and_equal_ones_keep_their_numbers():
    same = {'a': 'frames of 360 x 288, not 224 x 224', 'b': 'frames of 360 x 288, not 224 x 224'}
    assert _by_reason('no video', same) == ["no video for 2: frames of 360 x 288, not 224 x 224 ('a')"]
    unlike = {'a': 'no face in 75 frames', 'b': 'no face in 80 frames'}
    assert _by_reason('no video', unlike) == ["no video for 2: no face in … frames ('a')"]


KILLED = """
import os, signal, sys
from pathlib import Path
from affekt.corpora import Manifest
from affekt.clips import ClipSettings, PackedClips, packing
packing.NOTED_S, after = 0.0 if sys.argv[4] == 'noted' else 1e9, int(sys.argv[3])
def progress(stage, done, total):
    if done == after:
        os.kill(os.getpid(), signal.SIGKILL)
manifest = Manifest.load(Path(sys.argv[2]))
PackedClips.write(Path(sys.argv[1]), manifest, ClipSettings(size=48, crop='none'), resume=True, progress=progress)
"""


def test_a_killed_packing_goes_on_to_the_same_bytes(manifest, tmp_path):
    whole, cache = tmp_path / 'whole', tmp_path / 'cache'
    PackedClips.write(whole, manifest, SETTINGS)
    manifest.save(tmp_path / 'm.parquet')
    for after, noted in ((4, 'not noted'), (5, 'noted')):
        arguments = [str(cache), str(tmp_path / 'm.parquet'), str(after), noted]
        killed = subprocess.run([sys.executable, '-c', KILLED, *arguments], check=False)
        assert killed.returncode == -signal.SIGKILL
        with pytest.raises(RunError, match='begun and not finished; go on with --resume'):
            PackedClips.open(cache)
    with (cache / FRAMES).open('ab') as file:
        file.write(b'half a clip')  # as a kill in the middle of a write leaves it
    done = []
    PackedClips.write(
        cache, manifest, SETTINGS, resume=True, progress=lambda _, count, total: done.append((count, total))
    )
    assert done == [(6, 7), (7, 7)]  # five were noted before the last kill
    assert _content(cache) == _content(whole)
    assert [repr(clip) for clip in PackedClips.open(cache)] == [repr(clip) for clip in PackedClips.open(whole)]


def test_several_processes_pack_the_same_clips(manifest, tmp_path):
    alone = PackedClips.write(tmp_path / 'alone', manifest, SETTINGS)
    together = PackedClips.write(tmp_path / 'together', manifest, SETTINGS, processes=2)
    assert together.names == alone.names
    assert together.failed == alone.failed
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours.frames is None) == (theirs.frames is None)
        assert ours.frames is None or np.array_equal(ours.frames, theirs.frames)
        assert np.array_equal(ours.sound, theirs.sound)
    together.verify()


@pytest.fixture(scope='module')
def packed(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp('packed') / 'cache'
    manifest = Manifest(Facts('made up', root=str(sources)), [Sample(f'v{at}', video=f'v{at}.mkv') for at in range(3)])
    PackedClips.write(folder, manifest, SETTINGS)
    return folder, manifest


@pytest.fixture
def cache(packed, tmp_path):
    """A copy of a cache, with its manifest."""
    shutil.copytree(packed[0], tmp_path / 'copy')
    return tmp_path / 'copy', packed[1]


@pytest.mark.parametrize('name', [FRAMES, SOUND])
def test_a_file_that_was_cut_short_is_named_with_both_sizes(cache, name):
    folder, manifest = cache
    size = (folder / name).stat().st_size
    with (folder / name).open('r+b') as file:
        file.truncate(size - 1)
    with pytest.raises(RunError, match=f'{size:,} bytes of {name} .* got {size - 1:,} bytes; it was cut short'):
        PackedClips.open(folder)
    with pytest.raises(RunError, match='it was cut short: remove the folder'):
        PackedClips.write(folder, manifest, SETTINGS, resume=True)
    (folder / name).unlink()
    with pytest.raises(RunError, match='no such file'):
        PackedClips.open(folder)


def test_a_damaged_index_and_a_folder_of_something_else_are_refused(cache, tmp_path):
    folder, _ = cache
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:-20])
    with pytest.raises(RunError, match='the index of packed clips'):
        PackedClips.open(folder)
    with pytest.raises(RunError, match=r'without index\.parquet'):
        PackedClips.open(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    ('column', 'values'),
    [
        ('first_frame', [0, -10, 21]),
        ('frames', [10, 11, 10**12]),
        ('samples', [2**62] * 3),
        ('frames', ['a', 'b', 'c']),
    ],
)
def test_an_index_that_points_outside_the_files_is_refused(cache, column, values):
    path = cache[0] / INDEX
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)
    with pytest.raises(RunError, match='columns that are not those of a cache'):
        PackedClips.open(cache[0])


@pytest.mark.parametrize('changes', [{'size': -48}, {'size': '48'}, {'sound': 'object'}, {'frames': 34.0}])
def test_a_header_with_numbers_that_cannot_be_is_refused(cache, changes):
    path = cache[0] / INDEX
    table = parquet.read_table(path)
    header = json.loads(table.schema.metadata[b'affekt']) | changes
    parquet.write_table(table.replace_schema_metadata({'affekt': json.dumps(header)}), path)
    with pytest.raises(RunError, match='got size, frames and samples'):
        PackedClips.open(cache[0])


def test_bytes_that_changed_are_noticed_where_all_are_read(cache):
    folder, _ = cache
    with (folder / FRAMES).open('r+b') as file:
        file.seek(11 * 48 * 48 * 3)
        file.write(b'\x00\xff')
    with pytest.raises(RunError, match=r"1 that changed \('v1'\)"):
        PackedClips.open(folder).verify()


def test_a_cache_of_other_sources_is_refused_by_name(cache, sources, tmp_path):
    folder, manifest = cache
    PackedClips.open(folder, manifest.where(sample='v1'))  # some of the samples will do
    with pytest.raises(RunError, match=r"1 of 3 samples \('v2'\)"):
        PackedClips.open(folder, manifest.replaced(end_s=[None, None, 0.5], start_s=[None, None, 0.0]))
    with pytest.raises(RunError, match=r"1 of 1 samples \('voice'\)"):
        PackedClips.open(folder, Manifest(manifest.facts, [Sample('voice', audio='voice.wav')]))
    with pytest.raises(
        RunError,
        match=r'settings that .* was written with; got other values for sources; use the same manifest and options, or',
    ):
        PackedClips.write(folder, manifest.where(sample='v1'), SETTINGS, resume=True)
    with pytest.raises(RunError, match=r'other values for clips\.size'):
        PackedClips.write(folder, manifest, replace(SETTINGS, size=64), resume=True)
    moved = shutil.copytree(sources, tmp_path / 'moved')
    elsewhere = Manifest(replace(manifest.facts, root=str(moved)), manifest.samples)
    PackedClips.open(folder, elsewhere).require_sources(elsewhere, contents=True)
    content = bytearray((moved / 'v0.mkv').read_bytes())
    content[-1] ^= 1
    (moved / 'v0.mkv').write_bytes(content)
    clips = PackedClips.open(folder, elsewhere)  # the size is the same
    with pytest.raises(RunError, match=r"\('v0'\)"):
        clips.require_sources(elsewhere, contents=True)


def test_a_finished_cache_is_opened_and_not_written_again(cache):
    folder, manifest = cache
    before = (folder / INDEX).stat().st_mtime_ns
    clips = PackedClips.write(folder, manifest, SETTINGS, resume=True, progress=lambda *_: pytest.fail('decoded again'))
    assert (len(clips), (folder / INDEX).stat().st_mtime_ns) == (3, before)
    with pytest.raises(RunError, match='add --resume'):
        PackedClips.write(folder, manifest, SETTINGS)


@pytest.mark.parametrize('modalities', [('audio',), ('video', 'audio')])
def test_sound_alone_is_not_packed_anew_for_another_size_or_crop_of_frames(sources, tmp_path, modalities):
    manifest = Manifest(Facts('made up', root=str(sources)), [Sample('voice', audio='voice.wav')])
    settings = replace(SETTINGS, modalities=modalities)
    clips = PackedClips.write(tmp_path / 'cache', manifest, settings)
    other = replace(settings, size=96, crop='faces')
    again = PackedClips.write(
        tmp_path / 'cache', manifest, other, resume=True, progress=lambda *_: pytest.fail('decoded again')
    )
    assert again.settings == clips.settings
    with pytest.raises(RunError, match=r'other values for clips\.longest_s'):
        PackedClips.write(tmp_path / 'cache', manifest, replace(other, longest_s=1.0), resume=True)


def test_a_reader_that_writes_into_frames_changes_nothing_on_disk(cache):
    folder, _ = cache
    before = _content(folder)
    clips = PackedClips.open(folder)
    clips[0].frames[:] = 0
    assert _content(folder) == before
    assert int(PackedClips.open(folder)[0].frames.max()) > 0


def test_a_process_that_gets_a_cache_opens_it_by_itself(cache):
    clips = PackedClips.open(cache[0])
    assert int(clips[1].frames.max()) > 0  # the files are open here
    content = pickle.dumps(clips)
    assert len(content) < 1_000
    assert np.array_equal(pickle.loads(content)[1].frames, clips[1].frames)


def test_the_size_is_known_before_anything_is_written(manifest, tmp_path):
    size = PackedClips.estimate(manifest, SETTINGS)
    clips = PackedClips.write(tmp_path / 'cache', manifest, SETTINGS)
    assert size.clips == 7
    assert size.unreadable == 1
    assert size.bytes == pytest.approx(clips.bytes, rel=0.1)
    assert str(size).startswith(f'7 clips, {size.frames} frames: about 0.4 MB (')
    only_three = PackedClips.estimate(manifest, SETTINGS, most=3)
    assert (only_three.looked_at, only_three.clips) == (3, 7)
    assert 'judging by 3 of them' in str(only_three)


def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(manifest, tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(1, 1, 1_000))
    with pytest.raises(StorageError, match=r'expected 0\.4 MB of room for 7 clips; got 0\.0 MB'):
        PackedClips.write(tmp_path / 'cache', manifest, SETTINGS)
    assert not (tmp_path / 'cache').exists()


def test_a_cache_without_the_face_model_is_refused_before_a_folder_is_made(manifest, tmp_path, monkeypatch):
    def missing():
        raise WeightsError(expected='the face model', came='none', todo='download it')

    monkeypatch.setattr(packing, '_landmarker', missing)
    with pytest.raises(WeightsError, match='the face model'):
        PackedClips.write(tmp_path / 'deep' / 'cache', manifest, replace(SETTINGS, crop='faces'))
    assert not (tmp_path / 'deep').exists()


def test_the_size_of_an_unfinished_cache_is_told_and_that_of_a_finished_one_is_not(manifest, tmp_path):
    folder, told = tmp_path / 'cache', []
    folder.mkdir()
    (folder / '.lock').touch()  # a run that was killed as it began
    for _ in range(2):
        packed_clips(manifest, folder, SETTINGS, say=told.append)
    assert [sentence.partition(' frames')[0] for sentence in told] == [
        f'clips in {folder}: 7 clips, {PackedClips.estimate(manifest, SETTINGS).frames}'
    ]


def test_clips_of_two_sizes_or_one_name_are_not_packed_together(tmp_path):
    small, large = (np.zeros((2, side, side, 3), np.uint8) for side in (48, 64))
    with pytest.raises(ShapeError, match='pack clips of one size'):
        PackedClips.of(tmp_path / 'a', [Clip('a', small, None, None), Clip('b', large, None, None)])
    with pytest.raises(TableError, match="'a' twice"):
        PackedClips.of(tmp_path / 'a', [Clip('a', small, None, None)] * 2)
    assert not (tmp_path / 'a').exists()
    (tmp_path / 'file').write_text('of somebody')
    with pytest.raises(StorageError, match='got a file of that name'):
        PackedClips.of(tmp_path / 'file', [])
    assert (tmp_path / 'file').read_text() == 'of somebody'
    clips = PackedClips.of(tmp_path / 'a', [Clip('a', small, None, None), Clip('b', small, np.array([0.0, 0.1]), None)])
    assert clips[0].times_s is None
    assert clips[-1].times_s.tolist() == [0.0, 0.1]
    assert [clip.name for clip in clips[:2]] == ['a', 'b']
    with pytest.raises(IndexError):
        clips[2]


def test_memory_that_runs_out_is_no_fault_of_a_sample(manifest, tmp_path, monkeypatch):
    def too_large(*_):
        raise MemoryError

    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(packing, 'sample_clip', too_large)
        PackedClips.write(tmp_path / 'clips', manifest, SETTINGS)
    assert set(PackedClips.write(tmp_path / 'clips', manifest, SETTINGS, resume=True).failed) == {'broken', 'nothing'}

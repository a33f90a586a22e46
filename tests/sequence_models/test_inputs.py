"""Videos as tensors and windows as batches: what is kept of which modality, and faults that name file and sample."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from frame_cases import FRAMES, RATE_HZ, face_of, labels_of, videos_of, voice_of

from affekt.errors import ShapeError, StorageError, UnknownNameError, ValueRangeError
from affekt.features import Features
from affekt.frames import FrameLabels, Window, windows_over
from affekt.sequence_models import WindowBatches, frame_videos


def rows_of(videos, name):
    return slice(videos.starts[name], videos.starts[name] + videos.lengths[name])


def test_each_modality_has_its_own_mask_and_a_missing_one_is_kept_nowhere():
    videos = videos_of({'a': 'train', 'b': 'train'})
    assert videos.sizes == {'face': 3, 'voice': 1}
    assert repr(videos) == 'FrameVideos(2 videos, 175 frames, face 3, voice 1)'
    assert videos.keep_mask['face'].all()  # the last frame is half a step of the face's clock behind its last row
    assert videos.keep_mask['voice'][rows_of(videos, 'a')].all()
    assert not videos.keep_mask['voice'][rows_of(videos, 'b')].any()
    assert not videos.features['voice'][rows_of(videos, 'b')].any()


def test_labels_that_are_longer_than_the_video_are_kept_and_seen_by_nothing_at_their_end():
    labels = labels_of('a', 'train', 120)
    videos = frame_videos([labels], {'face': {'a': face_of('a', 100)}}, RATE_HZ)
    assert videos.lengths == {'a': 120}
    assert torch.where(videos.keep_mask['face'])[0].tolist() == list(range(100))


def test_a_batch_holds_the_rows_of_its_windows_and_pads_short_ones():
    videos = videos_of({'a': 'train', 'c': 'train'})
    batch = videos.batch([Window('a', 40, 72), Window('c', 0, 20)])
    assert batch.features['face'].shape == (2, 32, 3)
    torch.testing.assert_close(batch.features['face'][0], videos.features['face'][40:72])
    torch.testing.assert_close(batch.affect[0], videos.affect[40:72], equal_nan=True)
    start = videos.starts['c']
    torch.testing.assert_close(batch.features['face'][1, :20], videos.features['face'][start : start + 20])
    assert not batch.features['face'][1, 20:].any()
    assert not batch.keep_mask['face'][1, 20:].any()
    assert batch.affect[1, 20:].isnan().all()
    assert (batch.expression[1, 20:] == -1).all()
    assert (batch.units[1, 20:] == -1).all()
    assert not batch.weights[1, 20:].any()


def test_windows_beyond_their_video_read_no_other():
    videos = videos_of({'a': 'train', 'c': 'train'})
    for window in (Window('a', 90, 101), Window('a', -1, 5), Window('c', 5, 5)):
        with pytest.raises(ValueRangeError, match='windows within their videos'):
            videos.batch([window])
    with pytest.raises(ValueRangeError, match='got none'):
        videos.batch([])
    with pytest.raises(UnknownNameError, match='e'):
        videos.batch([Window('e', 0, 5)])


def test_batches_go_through_every_window_once_an_epoch_and_begin_anywhere():
    videos = videos_of({'a': 'train', 'c': 'train'})
    windows = windows_over(videos.lengths, 20, 10)  # 9 + 1
    batches = WindowBatches(videos, windows, 5, seed=3)
    assert batches.per_epoch == 2
    iterator = iter(batches)
    every = [next(iterator) for _ in range(6)]
    first = torch.cat([each.affect for each in every[:2]]).flatten().nan_to_num().sort().values
    wanted = videos.batch(windows).affect.flatten().nan_to_num().sort().values
    torch.testing.assert_close(first, wanted)
    later = next(batches.starting_at(4))
    torch.testing.assert_close(later.features['face'], every[4].features['face'])
    assert not torch.equal(every[0].features['face'], every[2].features['face'])


def test_people_of_one_recording_share_only_what_is_said_to_be_of_the_recording():
    labels = [labels_of('d_left', 'train', 60)]
    sources = {'face': {'d_left': face_of('d', 60)}, 'voice': {'d': voice_of('d', 60)}}
    assert frame_videos(labels, sources, RATE_HZ, of_recording=['voice']).keep_mask['voice'].all()
    with pytest.raises(ValueRangeError, match='voice of at least one of the videos'):
        frame_videos(labels, sources, RATE_HZ)


def test_videos_are_taken_and_joined_with_their_rows():
    videos = videos_of({'a': 'train', 'b': 'train', 'c': 'train'})
    again = videos.take(['b']).joined(videos.take(['c', 'a']))
    assert again.names == ('b', 'c', 'a')
    for name in 'abc':
        torch.testing.assert_close(
            again.features['face'][rows_of(again, name)], videos.features['face'][rows_of(videos, name)]
        )
    with pytest.raises(UnknownNameError, match='each video once'):
        again.joined(videos.take(['a']))
    with pytest.raises(UnknownNameError, match="'z'"):
        videos.take(['z'])


def test_a_feature_that_is_not_finite_names_itself_the_video_and_the_row():
    face = face_of('a', 100)
    face.values[7, 1] = np.nan
    with pytest.raises(ValueRangeError, match=r'face of a.*row 7'):
        frame_videos([labels_of('a', 'train', 100)], {'face': {'a': face}}, RATE_HZ)


def test_a_feature_of_a_store_that_is_not_finite_names_the_store(tmp_path):
    class Damaged(dict):
        path = tmp_path / 'faces-frm'

    face = face_of('a', 100)
    face.values[7, 1] = np.inf
    with pytest.raises(ValueRangeError, match=r'face of a in .*faces-frm'):
        frame_videos([labels_of('a', 'train', 100)], {'face': Damaged(a=face)}, RATE_HZ)


@pytest.mark.parametrize(
    ('sources', 'clock', 'options', 'error', 'sentence'),
    [
        ({}, 25.0, {}, UnknownNameError, 'one or more'),
        ({'face': {'x': 1}}, 25.0, {}, ValueRangeError, 'named as the videos are'),
        ({'face': {'a': 1}}, {'b': 25.0}, {}, UnknownNameError, 'frames of .a.'),
        ({'face': {'a': 1}}, 25.0, {'methods': {'fase': 'mean'}}, UnknownNameError, 'fase'),
        ({'face': {'a': 1}}, 0.0, {}, ValueRangeError, 'rate above 0'),
    ],
)
def test_what_does_not_fit_is_refused(sources, clock, options, error, sentence):
    features = {name: {video: face_of('a', 100) for video in by_video} for name, by_video in sources.items()}
    with pytest.raises(error, match=sentence):
        frame_videos([labels_of('a', 'train', 100)], features, clock, **options)


def test_rows_without_times_must_be_frames_and_columns_as_many_in_every_video():
    plain = Features('a', np.zeros((99, 2), np.float32))
    with pytest.raises(ShapeError, match=r'face of a.*99 rows without times'):
        frame_videos([labels_of('a', 'train', 100)], {'face': {'a': plain}}, RATE_HZ)
    wide = {'a': face_of('a', 100), 'b': Features('b', np.zeros((75, 4), np.float32))}
    with pytest.raises(ShapeError, match='3 columns of face in every video'):
        frame_videos([labels_of(name, 'train', FRAMES[name]) for name in 'ab'], {'face': wide}, RATE_HZ)


def test_each_video_may_have_a_rate_or_times_of_its_own():
    face = face_of('a', 100)
    labels = [labels_of('a', 'train', 100), labels_of('b', 'train', 75)]
    clock = {'a': 25.0, 'b': [frame / 25.0 for frame in range(75)]}
    videos = frame_videos(labels, {'face': {'a': face, 'b': face_of('b', 75)}}, clock)
    same = frame_videos(labels, {'face': {'a': face, 'b': face_of('b', 75)}}, 25.0)
    torch.testing.assert_close(videos.features['face'][:], same.features['face'][:])


@pytest.mark.parametrize('frames', [60, 100, 130])
def test_labels_may_be_shorter_or_longer_than_the_times_of_the_video(frames):
    times = np.arange(100) / 25.0
    videos = frame_videos([labels_of('a', 'train', frames)], {'face': {'a': face_of('a', 100)}}, {'a': times})
    assert videos.lengths == {'a': frames}
    assert int(videos.keep_mask['face'].sum()) == min(frames, 100)


def test_features_kept_in_files_are_the_same_and_parts_share_them(tmp_path):
    labels = [labels_of(name, 'train', FRAMES[name]) for name in 'abc']
    sources = {'face': {name: face_of(name, FRAMES[name]) for name in 'abc'}}
    kept = frame_videos(labels, sources, RATE_HZ, keep_in=tmp_path / 'rows')
    plain = frame_videos(labels, sources, RATE_HZ)
    torch.testing.assert_close(kept.features['face'][:], plain.features['face'][:])
    assert (tmp_path / 'rows/feature1.npy').stat().st_size > 195 * 3 * 4
    part, rest = kept.take(['c', 'a']), kept.take(['b'])
    assert part.features['face'].stored is kept.features['face'].stored
    assert part.joined(rest).features['face'].stored is kept.features['face'].stored
    frame_videos(labels[:1], sources, RATE_HZ, keep_in=tmp_path / 'rows')  # the older rows stay readable
    torch.testing.assert_close(kept.features['face'][:], plain.features['face'][:])
    (tmp_path / 'file').write_text('')
    with pytest.raises(StorageError):
        frame_videos(labels, sources, RATE_HZ, keep_in=tmp_path / 'file')


def test_unlabelled_videos_have_frames_and_no_truth():
    videos = videos_of({'e': 'test'}, known=False)
    assert videos.affect.isnan().all()
    assert (videos.expression == -1).all()
    assert videos.units.shape == (80, 0)
    odd = replace(labels_of('f', 'train', 50), units=np.zeros((50, 5), np.int8))
    sources = {'face': {'f': face_of('f', 50)}, 'voice': {'f': voice_of('f', 50)}}
    joined = videos_of({'a': 'train'}).joined(frame_videos([odd], sources, RATE_HZ, methods={'voice': 'mean'}))
    with pytest.raises(ShapeError, match='as many action units'):
        joined.batch([Window('a', 0, 10)])


def test_a_video_without_frames_takes_no_room():
    videos = frame_videos(
        [FrameLabels('z', 'test'), labels_of('a', 'train', 100)], {'face': {'a': face_of('a', 100)}}, 25.0
    )
    assert videos.lengths == {'z': 0, 'a': 100}
    assert windows_over(videos.lengths, 200, 100) == (Window('a', 0, 100),)

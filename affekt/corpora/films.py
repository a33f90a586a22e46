"""Importers of faces in film clips, with their published folds: MAFW, DFEW, FERV39k.

Each is read from its release, or from the lists that HiCMAE and SVFAP made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from affekt.containers import AUDIO
from affekt.corpora.manifest import Sample
from affekt.corpora.release import Corpus, Layout, Release, need
from affekt.corpora.split_lists import Labels, ListForm, fold_lists, folds_of, part_lists
from affekt.errors import TableError

MAFW11 = (
    'anger', 'disgust', 'fear', 'happiness', 'neutral', 'sadness', 'surprise', 'contempt', 'anxiety', 'helplessness',
    'disappointment',
)  # fmt: skip
DFEW7 = ('happy', 'sad', 'neutral', 'angry', 'surprise', 'disgust', 'fear')
"""Categories in the order of the release's numbers 1 to 7."""
FERV39K7 = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')
_MAFW_SETS = 'Train & Test Set/single/no_caption'
_DFEW_SETS = 'EmoLabel_DataSplit'
_FERV39K_SETS = '4_setups/All_scenes'
FOLDS = range(1, 6)
"""Published folds of MAFW and DFEW."""


def _mafw(release: Release) -> Iterator[Sample]:
    """`set_N/train.txt` and `test.txt`: 00001.mp4 and its emotion on each line."""
    clips = release.media('data/clips', 'clips')
    audio = release.media('data/audio_16k', 'data/audio', kinds=AUDIO)
    frames = release.folders('data/frames', 'frames')

    def part(fold: int, side: str) -> Labels:
        return {clip.rsplit('.', 1)[0]: label for clip, label in release.pairs(f'{_MAFW_SETS}/set_{fold}/{side}.txt')}

    tests = {fold: labels for fold in FOLDS if (labels := part(fold, 'test'))}
    for name, label, fold in folds_of(release, tests, {fold: part(fold, 'train') for fold in tests}, len(FOLDS)):
        yield Sample(
            name, video=clips.get(name), audio=audio.get(name), frames=frames.get(name), category=label, fold=fold
        )


def _dfew(release: Release) -> Iterator[Sample]:
    """`train(single-labeled)/set_N.csv`: video_name, a number, and label, 1 to 7."""
    clips = release.media('Clip/original', 'Clip/clip_original')
    frames = release.folders('Clip/clip_224x224', 'Clip/clip_224x224_16f', 'Clip/jpg_256')

    def part(fold: int, side: str) -> Labels:
        file = f'{_DFEW_SETS}/{side}(single-labeled)/set_{fold}.csv'
        columns = release.table(file)
        if columns is None:
            return {}
        names, labels = need(columns, ('video_name', 'label'), file)
        return {str(name).zfill(5): _numbered(label, DFEW7, file) for name, label in zip(names, labels, strict=True)}

    tests = {fold: labels for fold in FOLDS if (labels := part(fold, 'test'))}
    for name, label, fold in folds_of(release, tests, {fold: part(fold, 'train') for fold in tests}, len(FOLDS)):
        unpadded = name.lstrip('0') or name
        yield Sample(
            name, video=clips.get(name) or clips.get(unpadded), frames=frames.get(name), category=label, fold=fold
        )


def _numbered(label: object, categories: Sequence[str], file: str) -> str:
    """The category of a number that counts from 1."""
    if str(label).lstrip('0') not in map(str, range(1, len(categories) + 1)):
        raise TableError(
            expected=f'a label from 1 to {len(categories)}', came=f'{label!r} in {file}', todo='correct the file'
        )
    return categories[int(str(label)) - 1]


def _ferv39k(release: Release) -> Iterator[Sample]:
    """`train_All.csv`, `test_All.csv`: Daily_Life/Angry/0001 and Angry on each line; one folder of images per clip."""
    frames: dict[str, Mapping[str, str]] = {}
    for split in ('train', 'test'):
        for clip, label in release.pairs(f'{_FERV39K_SETS}/{split}_All.csv'):
            folder, _, name = clip.rpartition('/')
            if folder not in frames:
                frames[folder] = release.folders(f'2_ClipsforFaceCrop/{folder}')
            yield Sample(
                clip, frames=frames[folder].get(name), category=label, split=split, session=folder.split('/')[0]
            )


_MAFW_LISTS = ListForm(lambda parts: parts[-1], MAFW11)
_DFEW_LISTS = ListForm(lambda parts: parts[-1].zfill(5), DFEW7)
_FERV39K_LISTS = ListForm(
    lambda parts: '/'.join(parts[-3:]), FERV39K7, beside=lambda name: {'session': name.split('/')[0]}
)  # fmt: skip

CORPORA = (
    Corpus(
        'mafw', 'MAFW, single label', '', categories=MAFW11, published={'': 9172},
        layouts=(Layout((_MAFW_SETS,), _mafw, 'official'), fold_lists(_MAFW_LISTS)),
        folders=('saved/data/mafw/audio_visual/single', 'saved/data/mafw/single'),
        source='mafw-database.github.io (agreement)', cite='arXiv:2208.00847',
    ),
    Corpus(
        'dfew', 'DFEW, single label', '', categories=DFEW7, published={'': 11697},
        layouts=(Layout((_DFEW_SETS,), _dfew, 'official'), fold_lists(_DFEW_LISTS)),
        folders=('DFEW-part2', 'saved/data/dfew/org'),
        source='dfew-dataset.github.io (agreement)', cite='arXiv:2008.05924',
    ),
    Corpus(
        'ferv39k', 'FERV39k', '', categories=FERV39K7, published={'train': 31088, 'test': 7847},
        layouts=(Layout((_FERV39K_SETS,), _ferv39k, 'official'), part_lists(_FERV39K_LISTS, 'all_scenes')),
        folders=('FERV39k', 'saved/data/ferv39k'),
        source='wangyanckxx.github.io/Proj_CVPR2022_FERV39k.html (agreement)', cite='arXiv:2203.09463',
    ),
)  # fmt: skip

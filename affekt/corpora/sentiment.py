"""Importers of corpora of sentiment: CMU-MOSI, CMU-MOSEI, CH-SIMS, CH-SIMS v2.

Each is read from MERBench's archive, or from the release of MMSA: `label.csv` with one row per clip and
`Raw/VIDEO/CLIP.mp4`. A clip's recording is its video; in CMU-MOSI that is one speaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from affekt.corpora.manifest import Sample
from affekt.corpora.merbench import Media, labelled, transcripts
from affekt.corpora.release import Corpus, Layout, Release, need, number
from affekt.errors import TableError

_SPLITS = {'train_corpus': 'train', 'val_corpus': 'val', 'test_corpus': 'test'}
_MODES = {'train': 'train', 'valid': 'val', 'validation': 'val', 'val': 'val', 'test': 'test'}
"""Value of the column `mode` to its split."""
_TABLES = ('label.csv', 'meta(s).csv', 'meta.csv')


def _merbench(release: Release, language: str, speaker_is_video: bool) -> Iterator[Sample]:
    rows = list(labelled(release, ('label.npz',), _SPLITS, ()))
    texts, media = transcripts(release, [row.name for row in rows]), Media.of(release)
    for row in rows:
        chinese, english = texts.get(row.name, (None, None))
        video = row.name.rsplit('_', 1)[0]
        yield Sample(
            row.name, text=english if language == 'en' else chinese, chinese=chinese, english=english,
            sentiment=row.value, split=row.split, recording=video, speaker=video if speaker_is_video else None,
            **media.paths(row.name),
        )  # fmt: skip


def _mmsa(release: Release, language: str, speaker_is_video: bool) -> Iterator[Sample]:
    """One row per clip: video_id, clip_id, text, label, mode."""
    columns = release.table(*_TABLES)
    file = next(reversed(release.sources))
    rows = zip(*need(columns or {}, ('video_id', 'clip_id', 'text', 'label', 'mode'), file), strict=True)
    media: dict[str, dict[str, str]] = {}
    for video, number_in_video, sentence, label, mode in rows:
        if mode not in _MODES:
            raise TableError(
                expected=f'a mode among {", ".join(_MODES)}', came=f'{mode!r} for {video} in {file}',
                todo='take the file of the release as it is',
            )  # fmt: skip
        if video not in media:
            media[video] = dict(release.media(f'Raw/{video}', f'raw/{video}'))
        clip = str(number_in_video)
        name = f'{video}_{clip}'
        yield Sample(
            name, video=media[video].get(clip) or media[video].get(clip.zfill(4)), text=sentence,
            sentiment=number(label, name, file), split=_MODES[mode], recording=video,
            speaker=video if speaker_is_video else None, chinese=sentence if language == 'zh' else None,
            english=sentence if language == 'en' else None,
        )  # fmt: skip


def _sentiment(
    name: str,
    title: str,
    language: str,
    limit: float,
    sizes: tuple[int, int, int],
    folder: str,
    source: str,
    cite: str,
    speaker_is_video: bool = False,
) -> Corpus:
    merbench = partial(_merbench, language=language, speaker_is_video=speaker_is_video)
    mmsa = partial(_mmsa, language=language, speaker_is_video=speaker_is_video)
    return Corpus(
        name, title, language, ranges={'sentiment': (-limit, limit)}, folders=(folder,),
        published=dict(zip(('train', 'val', 'test'), sizes, strict=True)),
        layouts=(Layout(('label.npz',), merbench, 'MERBench'), *(Layout((file,), mmsa, 'MMSA') for file in _TABLES)),
        source=f'{source}, or labels of MERBench', cite=cite,
    )  # fmt: skip


CORPORA = (
    _sentiment('mosi', 'CMU-MOSI', 'en', 3.0, (1284, 229, 686), 'cmumosi-process',
               'github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK', 'arXiv:1606.06259', speaker_is_video=True),
    _sentiment('mosei', 'CMU-MOSEI', 'en', 3.0, (16326, 1871, 4659), 'cmumosei-process',
               'github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK', 'doi:10.18653/v1/P18-1208'),
    _sentiment('sims', 'CH-SIMS', 'zh', 1.0, (1368, 456, 457), 'sims-process',
               'github.com/thuiar/MMSA', 'doi:10.18653/v1/2020.acl-main.343'),
    _sentiment('simsv2', 'CH-SIMS v2', 'zh', 1.0, (2722, 647, 1034), 'simsv2-process',
               'github.com/thuiar/ch-sims-v2', 'arXiv:2209.02604'),
)  # fmt: skip

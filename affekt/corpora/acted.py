"""Importers of acted corpora whose file names contain the labels: RAVDESS, CREMA-D, EmoDB.

Folds of RAVDESS and CREMA-D are computed from their actors (`ravdess_fold`, `cremad_fold`) and equal the published
ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from affekt.containers import AUDIO, VIDEO
from affekt.corpora.manifest import Sample
from affekt.corpora.release import Corpus, Layout, Release
from affekt.corpora.split_lists import ListForm, fold_lists
from affekt.errors import TableError
from affekt.labels import RAVDESS8

_STATEMENTS = ('Kids are talking by the door', 'Dogs are sitting by the door')
_RAVDESS = re.compile(r'(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)')

CREMAD6 = ('anger', 'disgust', 'fear', 'happy', 'neutral', 'sad')
_CREMAD_CODES = dict(zip(('ANG', 'DIS', 'FEA', 'HAP', 'NEU', 'SAD'), CREMAD6, strict=True))
_CREMAD = re.compile(r'(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX|X)')
_CREMAD_LAST = (1018, 1036, 1054, 1072, 1091)
"""Last actor of each published fold."""
_CREMAD_LEFT_OUT = ('1076_MTI_NEU_XX', '1076_MTI_SAD_XX', '1064_TIE_SAD_XX', '1064_IEO_DIS_MD')
"""Clips without a usable face or audio, which are in no published fold."""
_CREMAD_SENTENCES = {
    'IEO': "It's eleven o'clock", 'TIE': 'That is exactly what happened', 'IOM': "I'm on my way to the meeting",
    'IWW': 'I wonder what this is about', 'TAI': 'The airplane is almost full', 'MTI': 'Maybe tomorrow it will be cold',
    'IWL': 'I would like a new alarm clock', 'ITH': "I think I have a doctor's appointment",
    'DFA': "Don't forget a jacket", 'ITS': "I think I've seen this before", 'TSI': 'The surface is slick',
    'WSI': "We'll stop in a couple of minutes",
}  # fmt: skip

_EMODB_CODES = {
    'W': 'anger', 'L': 'boredom', 'E': 'disgust', 'A': 'fear', 'F': 'happiness', 'T': 'sadness', 'N': 'neutral',
}  # fmt: skip
EMODB7 = tuple(_EMODB_CODES.values())
_EMODB = re.compile(r'(\d\d)([ab]\d\d)([WLEAFTN])[a-z]')
_EMODB_SPEAKERS = ('03', '08', '09', '10', '11', '12', '13', '14', '15', '16')


def ravdess_fold(actor: int) -> int:
    """The published fold that tests an actor: four actors per fold, from 1.

    >>> [ravdess_fold(actor) for actor in (1, 4, 5, 24)]
    [1, 1, 2, 6]
    """
    return (actor - 1) // 4 + 1


def cremad_fold(clip: str) -> int | None:
    """The published fold that tests a clip, from 1, by its actor; None for four clips that are in no fold.

    >>> cremad_fold('1018_DFA_ANG_XX'), cremad_fold('1019_DFA_ANG_XX'), cremad_fold('1076_MTI_NEU_XX')
    (1, 2, None)
    """
    if clip in _CREMAD_LEFT_OUT:
        return None
    return next((fold for fold, last in enumerate(_CREMAD_LAST, 1) if int(clip[:4]) <= last), None)


def _ravdess(release: Release, channel: str) -> Iterator[Sample]:
    """One sample per utterance: Actor_NN/03-01-….wav is its audio, 01-… video with audio, 02-… video without.

    Folders of face images, one per video, may be in face_aligned/Actor_NN.
    """
    recordings: dict[str, dict[str, str]] = {}
    for actor in _ACTORS:
        media = {
            'audio': release.media(actor, kinds=AUDIO),
            'video': release.media(actor, kinds=VIDEO),
            'frames': release.folders(f'face_aligned/{actor}'),
        }
        for column, paths in media.items():
            for stem, path in paths.items():
                if (parts := _RAVDESS.fullmatch(stem)) and parts[2] == channel:
                    own_media = recordings.setdefault(stem[3:], {})
                    if column == 'audio' or parts[1] == '01' or column not in own_media:
                        own_media[column] = path
    for name, paths in recordings.items():
        columns = _ravdess_columns(name) | paths
        yield Sample(name, category=RAVDESS8[int(name.split('-')[1]) - 1], **columns)


def _ravdess_columns(name: str) -> dict[str, Any]:
    """Columns from the name of an utterance, without its emotion, and its fold.

    Raises:
        TableError: the name is not one of RAVDESS.
    """
    if not _RAVDESS.fullmatch(f'03-{name}'):
        raise TableError(
            expected='a clip of RAVDESS such as 03-01-05-02-01-01-12', came=repr(name),
            todo='take the lists of the release as they are',
        )  # fmt: skip
    _, _, _, statement, _, actor = name.split('-')
    sentence = _STATEMENTS[int(statement) - 1]
    return {'text': sentence, 'english': sentence, 'speaker': actor, 'fold': ravdess_fold(int(actor))}


def _cremad(release: Release) -> Iterator[Sample]:
    audio, video = release.media('AudioWAV', kinds=AUDIO), release.media('VideoFlash', 'VideoMP4')
    frames = release.folders('face_aligned')
    for name in sorted({*audio, *video, *frames}):
        parts = _CREMAD.fullmatch(name)
        if parts and parts[3] in _CREMAD_CODES:
            yield Sample(
                name, video=video.get(name), audio=audio.get(name), frames=frames.get(name),
                category=_CREMAD_CODES[parts[3]], **_cremad_columns(name), fold=cremad_fold(name),
            )  # fmt: skip
        else:
            release.notes.append(f'{name} is no name of CREMA-D; left out')


def _cremad_columns(name: str) -> dict[str, Any]:
    """Speaker and sentence from a clip's name.

    Raises:
        TableError: the name is not one of CREMA-D.
    """
    parts = _CREMAD.fullmatch(name)
    if not parts:
        raise TableError(
            expected='a clip of CREMA-D such as 1001_DFA_ANG_XX', came=repr(name),
            todo='take the lists of the release as they are',
        )  # fmt: skip
    sentence = _CREMAD_SENTENCES.get(parts[2])
    return {'text': sentence, 'english': sentence, 'speaker': parts[1]}


def _emodb(release: Release) -> Iterator[Sample]:
    for name, path in release.media('wav', kinds=AUDIO).items():
        if parts := _EMODB.fullmatch(name):
            speaker, _, code = parts.groups()
            fold = _EMODB_SPEAKERS.index(speaker) + 1 if speaker in _EMODB_SPEAKERS else None
            yield Sample(name, audio=path, category=_EMODB_CODES[code], speaker=speaker, fold=fold)
        else:
            release.notes.append(f'{name} is no name of EmoDB; left out')


_ACTORS = tuple(f'Actor_{actor:02d}' for actor in range(1, 25))
_RAVDESS_LISTS = ListForm(
    lambda parts: parts[-1][3:], RAVDESS8,
    beside=lambda name: {column: cell for column, cell in _ravdess_columns(name).items() if column != 'fold'},
)  # fmt: skip
_CREMAD_LISTS = ListForm(lambda parts: parts[-1], CREMAD6, beside=_cremad_columns)
_AT_ZENODO = 'zenodo.org/records/1188976 (CC BY-NC-SA 4.0)'

CORPORA = (
    Corpus(
        'ravdess', 'RAVDESS, speech', 'en', categories=RAVDESS8, published={'': 1440},
        layouts=(Layout(_ACTORS, partial(_ravdess, channel='01'), 'official'), fold_lists(_RAVDESS_LISTS)),
        folders=('saved/data/ravdess/audio_visual',), source=_AT_ZENODO, cite='doi:10.1371/journal.pone.0196391',
    ),
    Corpus(
        'ravdess-song', 'RAVDESS, song', 'en', categories=RAVDESS8, published={'': 1012},
        layouts=(Layout(tuple(name for name in _ACTORS if name != 'Actor_18'), partial(_ravdess, channel='02'),
                        'official'),),
        source=_AT_ZENODO, cite='doi:10.1371/journal.pone.0196391',
    ),
    Corpus(
        'cremad', 'CREMA-D', 'en', categories=CREMAD6, published={'': 7442},
        layouts=(Layout(('AudioWAV', 'VideoFlash'), _cremad, 'official'), fold_lists(_CREMAD_LISTS)),
        folders=('saved/data/crema-d/audio_visual',),
        source='github.com/CheyneyComputerScience/CREMA-D (ODbL)', cite='doi:10.1109/TAFFC.2014.2336244',
    ),
    Corpus(
        'emodb', 'EmoDB', 'de', categories=EMODB7, published={'': 535},
        layouts=(Layout(('wav',), _emodb, 'official'),),
        source='emodb.bilderbar.info', cite='doi:10.21437/Interspeech.2005-446',
    ),
)  # fmt: skip

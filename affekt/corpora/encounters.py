"""Importers of conversations rated in categories or dimensions: MSP-IMPROV, Werewolf-XL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affekt.containers import AUDIO
from affekt.corpora.manifest import Sample
from affekt.corpora.release import Corpus, Layout, Release
from affekt.corpora.split_lists import ListForm, fold_lists
from affekt.errors import TableError
from affekt.wording import counted

MSP4 = ('anger', 'happiness', 'neutral', 'sadness')
_MSP_CODES = dict(zip('AHNS', MSP4, strict=True))
"""Letter of the raters' consensus to category; other letters (X for none) are left out, as in all publications."""
_MSP = re.compile(r'MSP-IMPROV-(S\d\d[AHNS])-([FM])0([1-6])-([PRST])-[FM]{2}\d\d')
_MSP_RATED = re.compile(
    r'^(?:UTD|MSP)-(IMPROV-\S+?)\.avi;\s*(\w);\s*A:([\d.]+|nan)\s*;\s*V:([\d.]+|nan)\s*;\s*D:([\d.]+|nan)\s*;',
    re.MULTILINE,
)
_MSP_FILES = ('Evalution.txt', 'Evaluation.txt')
"""Names of the label file, the first as spelled in the release."""
_WEREWOLF = re.compile(r'(\d\d)_(\d\d)_\d+')


def _msp_improv(release: Release) -> Iterator[Sample]:
    """`Evalution.txt`: one line per turn with consensus and mean ratings, followed by lines of its raters.

    Media are in folders by session, sentence and type of scene; each is searched at the first turn that it may contain.
    """
    path = release.first(*_MSP_FILES)
    text = '' if path is None else release.readable_lines(path)
    audio: dict[str, str] = {}
    video: dict[str, str] = {}
    searched: set[str] = set()
    undecided = 0
    for stem, code, arousal, valence, dominance in _MSP_RATED.findall(text):
        name = f'MSP-{stem}'
        if code not in _MSP_CODES:
            undecided += 1
            continue
        columns = _msp_columns(name)
        sentence, _, _, scene_type = _msp_parts(name)
        folder = f'{columns["session"]}/{sentence}/{scene_type}'
        if folder not in searched:
            searched.add(folder)
            audio |= release.media(f'Audio/{folder}', f'audio_16k/{folder}', kinds=AUDIO)
            video |= release.media(f'Video/{folder}')
        ratings = {'arousal': arousal, 'valence': valence, 'dominance': dominance}
        values: dict[str, Any] = {
            column: None if value == 'nan' else _rating(value, name) for column, value in ratings.items()
        }
        clip = video.get(name) or video.get(f'UTD-{stem}')
        yield Sample(name, video=clip, audio=audio.get(name), category=_MSP_CODES[code], **values, **columns)
    if undecided:
        release.notes.append(f'{counted(undecided, "turn")} without a consensus on one of the four left out')


def _rating(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise TableError(
            expected='a number', came=f'{text!r} for {name} in {_MSP_FILES[0]}',
            todo='take the file of the release as it is',
        ) from error  # fmt: skip


def _msp_parts(name: str) -> tuple[str, str, int, str]:
    """Sentence, gender, session and type of scene (P, R, S or T) of a turn.

    Raises:
        TableError: the name is not one of MSP-IMPROV.
    """
    parts = _MSP.fullmatch(name)
    if not parts:
        raise TableError(
            expected='a turn such as MSP-IMPROV-S01A-F01-S-FM01', came=repr(name),
            todo='take the file of the release as it is',
        )  # fmt: skip
    return parts[1], parts[2], int(parts[3]), parts[4]


def _msp_columns(name: str) -> dict[str, Any]:
    """Session and fold; a name identifies the pair but not its speaker, so the session stands for both speakers."""
    session = _msp_parts(name)[2]
    return {'session': f'session{session}', 'fold': session}


def _werewolf_columns(name: str) -> Mapping[str, Any]:
    """Game and seat, from a clip's name.

    Raises:
        TableError: the name is not one of Werewolf-XL.
    """
    parts = _WEREWOLF.fullmatch(name)
    if not parts:
        raise TableError(
            expected='a clip of Werewolf-XL such as 01_02_366', came=repr(name),
            todo='take the lists of the release as they are',
        )  # fmt: skip
    return {'speaker': f'{parts[1]}_{parts[2]}', 'session': parts[1]}


def _aligned(parts: Sequence[str]) -> str:
    """The clip whose images OpenFace wrote to NAME_aligned."""
    return parts[-1].removesuffix('_aligned')


def _msp_listed(name: str) -> dict[str, Any]:
    return {column: cell for column, cell in _msp_columns(name).items() if column != 'fold'}


CORPORA = (
    Corpus(
        'msp-improv', 'MSP-IMPROV, 4 categories', 'en', categories=MSP4, published={'': 7798},
        ranges=dict.fromkeys(('valence', 'arousal', 'dominance'), (1.0, 5.0)),
        layouts=(
            *(Layout((file,), _msp_improv, 'official') for file in _MSP_FILES),
            fold_lists(ListForm(_aligned, MSP4, beside=_msp_listed)),
        ),
        folders=('MSP-IMPROV', 'saved/data/msp-improv/audio_visual'),
        source='ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html (agreement)',
        cite='doi:10.1109/TAFFC.2016.2515617',
    ),
    Corpus(
        'werewolf-xl', 'Werewolf-XL', 'zh', published={'': 14457},
        ranges={'arousal': (-0.5, 2.0), 'valence': (-0.75, 1.25), 'dominance': (-1.5, 1.5)},
        layouts=(
            # No publication states the order of the numbers; the ranges fit this one.
            fold_lists(ListForm(_aligned, dimensions=('arousal', 'valence', 'dominance'), beside=_werewolf_columns)),
        ),
        folders=('saved/data/werewolf-xl/audio_visual',),
        source='its authors (agreement), lists of github.com/sunlicai/HiCMAE', cite='doi:10.1109/TAFFC.2021.3101563',
    ),
)  # fmt: skip

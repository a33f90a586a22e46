"""Importers of corpora of conversation: IEMOCAP and MELD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TypedDict

from affekt.containers import AUDIO, VIDEO
from affekt.corpora.manifest import Sample
from affekt.corpora.merbench import Media, labelled, transcripts
from affekt.corpora.release import Corpus, Layout, Release, need
from affekt.errors import TableError
from affekt.wording import counted

IEMOCAP4 = ('happy', 'sad', 'neutral', 'angry')
IEMOCAP6 = ('happy', 'sad', 'neutral', 'angry', 'excited', 'frustrated')
_SIX = dict(zip(('hap', 'sad', 'neu', 'ang', 'exc', 'fru'), IEMOCAP6, strict=True))
_FOUR = {'hap': 'happy', 'exc': 'happy', 'sad': 'sad', 'neu': 'neutral', 'ang': 'angry'}
"""Code in the release to category; excitement counts as happy among four categories."""
_NAMED = re.compile(r'Ses0[1-5][FM]_\w+_[FM]\w{3}')
_RATED = re.compile(r'\[([\d.]+) - ([\d.]+)\]\t(\w+)\t(\w+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]')
_SPOKEN = re.compile(r'(\w+) \[[\d.]+-[\d.]+\]:\s*(.*)')

MELD7 = ('anger', 'joy', 'sadness', 'neutral', 'disgust', 'fear', 'surprise')
_MELD_FILES = {'train': 'train_sent_emo.csv', 'val': 'dev_sent_emo.csv', 'test': 'test_sent_emo.csv'}
_MELD_COLUMNS = (
    'Utterance', 'Speaker', 'Emotion', 'Sentiment', 'Dialogue_ID', 'Utterance_ID', 'Season', 'Episode', 'StartTime',
    'EndTime',
)  # fmt: skip
_MELD_VIDEO = {
    'train': ('train_splits', 'train'),
    'val': ('dev_splits_complete', 'dev'),
    'test': ('output_repeated_splits_test', 'test'),
}
_SENTIMENT = {'negative': -1.0, 'neutral': 0.0, 'positive': 1.0}


class DialogueColumns(TypedDict):
    """Columns of a manifest for the dialogue of an utterance."""

    speaker: str
    dialogue: str
    session: str
    recording: str
    fold: int


def iemocap_place(name: str) -> DialogueColumns:
    """Speaker and dialogue from an utterance's name; the fold is the session.

    Raises:
        TableError: the name is not one of IEMOCAP.

    >>> iemocap_place('Ses01F_impro01_M003')
    {'speaker': 'Ses01M', 'dialogue': 'Ses01F_impro01', 'session': 'Ses01', 'recording': 'Ses01F_impro01', 'fold': 1}
    """
    if not _NAMED.fullmatch(name):
        raise TableError(
            expected='a name such as Ses01F_impro01_M003', came=repr(name), todo='take the file of the release as it is'
        )
    dialogue = name.rsplit('_', 1)[0]
    return {
        'speaker': name[:5] + name[-4],
        'dialogue': dialogue,
        'session': name[:5],
        'recording': dialogue,
        'fold': int(name[4]),
    }


def _iemocap_merbench(release: Release, archive: str, categories: tuple[str, ...]) -> Iterator[Sample]:
    rows = list(labelled(release, (archive,), {'whole_corpus': ''}, categories))
    texts, media = transcripts(release, [row.name for row in rows]), Media.of(release)
    for row in rows:
        chinese, english = texts.get(row.name, (None, None))
        columns = iemocap_place(row.name)
        yield Sample(
            row.name, text=english, chinese=chinese, english=english, category=row.category,
            **media.paths(row.name), **columns,
        )  # fmt: skip


def _iemocap_official(release: Release, codes: Mapping[str, str]) -> Iterator[Sample]:
    """Session by session: ratings, transcripts, one wav per utterance, one avi per dialogue."""
    for session in range(1, 6):
        session_folder = f'Session{session}'
        ratings = release.first(f'{session_folder}/dialog/EmoEvaluation')
        for path in sorted(ratings.glob('Ses*.txt')) if ratings else ():
            dialogue = path.stem
            spoken = _spoken(release, f'{session_folder}/dialog/transcriptions/{dialogue}.txt')
            audio = release.media(f'{session_folder}/sentences/wav/{dialogue}', kinds=AUDIO)
            video = release.media(f'{session_folder}/dialog/avi/DivX', kinds=VIDEO).get(dialogue)
            text = release.readable_lines(path)
            rows = _RATED.findall(text)
            if unreadable := [line for line in text.splitlines() if line.startswith('[') and not _RATED.match(line)]:
                lines = counted(len(unreadable), 'line')
                release.notes.append(
                    f'{path.name}: {lines} left out that cannot be read as ratings, as {unreadable[0]!r:.80}'
                )
            for start, end, name, code, valence, arousal, dominance in rows:
                if code in codes:
                    yield Sample(
                        name, video=video, audio=audio.get(name), text=spoken.get(name), english=spoken.get(name),
                        category=codes[code], valence=float(valence), arousal=float(arousal),
                        dominance=float(dominance), start_s=float(start), end_s=float(end), **iemocap_place(name),
                    )  # fmt: skip


def _spoken(release: Release, name: str) -> dict[str, str]:
    path = release.first(name)
    if path is None or not path.is_file():
        release.notes.append(f'{name} is missing')
        return {}
    return dict(_SPOKEN.findall(release.readable_lines(path)))


def _meld_official(release: Release) -> Iterator[Sample]:
    """The three tables of the release; clips are named dia0_utt0.mp4, in one folder per split."""
    for split, file in _MELD_FILES.items():
        columns = release.table(file)
        if columns is None:
            continue
        video = release.media(*_MELD_VIDEO[split])
        for utterance_text, speaker, emotion, sentiment, dialogue, utterance, season, episode, start, end in zip(
            *need(columns, _MELD_COLUMNS, file), strict=True
        ):
            clip = f'dia{dialogue}_utt{utterance}'
            start_s, end_s = _seconds(start, file), _seconds(end, file)
            yield Sample(
                f'{split}_{clip}', video=video.get(clip), text=utterance_text, english=utterance_text, category=emotion,
                sentiment=_sentiment(sentiment, split, clip, file), speaker=speaker, dialogue=f'{split}_dia{dialogue}',
                recording=f's{season}e{episode}', start_s=start_s, end_s=end_s, split=split,
            )  # fmt: skip


def _sentiment(word: str, split: str, clip: str, file: str) -> float:
    if word not in _SENTIMENT:
        raise TableError(
            expected=f'one of {", ".join(_SENTIMENT)}', came=f'{word!r} for {split}_{clip} in {file}',
            todo='take the file of the release as it is',
        )  # fmt: skip
    return _SENTIMENT[word]


def _seconds(text: str, file: str) -> float:
    """Seconds of a time such as 00:16:16,059."""
    match = re.fullmatch(r'(\d+):(\d+):(\d+)[,.](\d+)', text.strip())
    if not match:
        raise TableError(expected='a time such as 00:16:16,059', came=f'{text!r} in {file}', todo='correct the file')
    hours, minutes, seconds, thousandths = match.groups()
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(thousandths) / 1000


def _meld_merbench(release: Release) -> Iterator[Sample]:
    splits = {'train_corpus': 'train', 'val_corpus': 'val', 'test_corpus': 'test'}
    rows = list(labelled(release, ('label.npz',), splits, MELD7))
    texts, media = transcripts(release, [row.name for row in rows]), Media.of(release)
    for row in rows:
        chinese, english = texts.get(row.name, (None, None))
        yield Sample(
            row.name, text=english, chinese=chinese, english=english, category=row.category, split=row.split,
            dialogue=row.name.rsplit('_', 1)[0], **media.paths(row.name),
        )  # fmt: skip


def _iemocap(name: str, title: str, categories: tuple[str, ...], codes: Mapping[str, str], size: int) -> Corpus:
    archive = f'label_{len(categories)}way.npz'
    return Corpus(
        name, title, 'en', categories=categories, published={'': size}, folders=('iemocap-process',),
        ranges=dict.fromkeys(('valence', 'arousal', 'dominance'), (0.5, 5.5)),
        layouts=(
            Layout(tuple(f'Session{n}' for n in range(1, 6)), partial(_iemocap_official, codes=codes), 'official'),
            Layout((archive,), partial(_iemocap_merbench, archive=archive, categories=categories), 'MERBench'),
        ),
        source='sail.usc.edu/iemocap (agreement), or labels of MERBench', cite='doi:10.1007/s10579-008-9076-6',
    )  # fmt: skip


CORPORA = (
    _iemocap('iemocap4', 'IEMOCAP, 4 categories', IEMOCAP4, _FOUR, 5531),
    _iemocap('iemocap6', 'IEMOCAP, 6 categories', IEMOCAP6, _SIX, 7433),
    Corpus(
        'meld', 'MELD', 'en', categories=MELD7, published={'train': 9989, 'val': 1109, 'test': 2610},
        folders=('meld-process', 'data/MELD', 'MELD.Raw'), ranges={'sentiment': (-1.0, 1.0)},
        layouts=(
            Layout(tuple(_MELD_FILES.values()), _meld_official, 'official'),
            Layout(('label.npz',), _meld_merbench, 'MERBench'),
        ),
        source='github.com/declare-lab/MELD', cite='arXiv:1810.02508',
    ),
)  # fmt: skip

"""The common layout that MERBench's tools write for every corpus.

| file | content |
|---|---|
| `label*.npz` | one dictionary per split: name to `{emo, val}`; emo a number or a word, val -10 or '' for none |
| `transcription-engchi-polish.csv` | name, chinese, english |
| `video/`, `audio/`, `openface_face/NAME/` | media by name; in some corpora clips are in `subvideo/` and `subaudio/` |

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from affekt.containers import AUDIO, VIDEO
from affekt.corpora.release import Release, need
from affekt.errors import TableError, listed
from affekt.wording import counted

NO_VALUE = -10
"""Value in the archives where a sample has no valence."""
TRANSCRIPTS = ('transcription-engchi-polish.csv', 'subtitle_chieng.csv', 'track1_subtitle_chieng.csv')


@dataclass(frozen=True)
class Labelled:
    """One entry of an archive."""

    name: str
    split: str
    category: str | None
    """None where emotions are ignored."""
    value: float | None
    """Valence, or sentiment; None for none."""


def labelled(
    release: Release, archives: Sequence[str], splits: Mapping[str, str], categories: Sequence[str]
) -> Iterator[Labelled]:
    """The entries of an archive, in order.

    Args:
        release: folder of the release.
        archives: file names, the first existing one of which is read.
        splits: name of a dictionary in the archive to its split.
        categories: categories in the order of the archive's numbers; () if its emotions are to be ignored.

    Raises:
        CorpusError: there is no archive, or it has none of the dictionaries.
        TableError: an entry is not `{emo, val}`, or its emotion is unknown; the message names file and sample.
        ArchiveError: the archive is damaged.
    """
    content = release.archive(*archives)
    file = next(reversed(release.sources))
    if not any(key in content for key in splits):
        raise release.lacks(*(f'{file} with {key}' for key in splits))
    for key, split in splits.items():
        if not isinstance(content.get(key), dict):
            release.notes.append(f'{key} is missing in {file}')
            continue
        for name, entry in content[key].items():
            try:
                emotion, value = entry['emo'], entry.get('val', '')
                category = _category(emotion, categories) if categories else None
                number = None if value in ('', NO_VALUE) else float(value)
            except (TypeError, KeyError, ValueError, AttributeError) as error:
                raise TableError(
                    expected='an emotion of the corpus and a number',
                    came=f'{entry!r} for sample {name!r} of {file} ({error})',
                    todo='take the file of the release as it is',
                ) from error
            yield Labelled(str(name), split, category, number)


def _category(emotion: object, categories: Sequence[str]) -> str:
    if isinstance(emotion, int):
        if not 0 <= emotion < len(categories):
            raise ValueError(f'number {emotion} of {len(categories)} emotions')
        return categories[emotion]
    if emotion not in categories:
        raise ValueError(f'emotion {emotion!r}')
    return str(emotion)


def transcripts(release: Release, wanted: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Name of each wanted sample to its transcripts in Chinese and English; {} and a note where the release has none.

    Raises:
        TableError: columns are missing, or a wanted sample has two texts.
    """
    columns = release.table(*TRANSCRIPTS)
    if columns is None:
        return {}
    file = next(reversed(release.sources))
    names, chinese, english = need(columns, ('name', 'chinese', 'english'), file)
    required = set(wanted)
    repeated = [name for name, count in Counter(names).items() if count > 1 and name in required]
    if repeated:
        raise TableError(
            expected='one transcript per sample',
            came=f'{file} with {listed(repeated)} twice',
            todo='keep one row of each',
        )
    pairs = {
        name: (chinese_text, english_text)
        for name, chinese_text, english_text in zip(names, chinese, english, strict=True)
        if name in required
    }
    if missing := [name for name in wanted if name not in pairs]:
        release.notes.append(f'{counted(len(missing), "sample")} without a transcript ({listed(missing, 2)})')
    return pairs


class Paths(TypedDict):
    """Columns of a manifest with paths of media."""

    video: str | None
    audio: str | None
    frames: str | None


@dataclass(frozen=True)
class Media:
    """Paths of the media of each sample."""

    video: Mapping[str, str]
    audio: Mapping[str, str]
    frames: Mapping[str, str]

    @classmethod
    def of(cls, release: Release) -> Media:
        """Find the media in the folders of the layout."""
        return cls(
            release.media('video', 'subvideo', kinds=VIDEO),
            release.media('audio', 'subaudio', kinds=AUDIO),
            release.folders('openface_face'),
        )

    def paths(self, name: str) -> Paths:
        """Paths of a sample's media."""
        return {'video': self.video.get(name), 'audio': self.audio.get(name), 'frames': self.frames.get(name)}

"""The split lists of published code, as a manifest.

Lists of any corpus are accepted; `affekt.corpora` imports known ones with the names of their labels. Paths are those of
the authors' machine; with `root` they are sought below your own folder. Where `val.csv` and `test.csv`
hold the same clips, as in the published folders, the manifest has no validation part and says so, since choosing on
one would choose on the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from affekt.clips.frame_folders import ALIGNED, images_path
from affekt.corpora import Facts, ListedClip, Manifest, PathsBelow, Sample, listed_clips
from affekt.errors import CorpusError, TableError, UnknownNameError
from affekt.files import read_regular_file
from affekt.media import VIDEO
from affekt.runs import file_sha256
from affekt.text_encoding import decode_text
from affekt.wording import counted

PARTS = ('train', 'val', 'test')
RATINGS = ('arousal', 'valence', 'dominance')
"""The presumed order of the three ratings in published lists, which none of them documents."""
MOST_CLASSES = 10_000
"""Maximum number of classes in a list without class names."""


def read_split(path: Path, root: Path | None = None) -> list[ListedClip]:
    """The lines of one list, with unchanged paths.

    Args:
        path: the list.
        root: folder whose files help to separate two paths with spaces.

    Raises:
        TableError: it is empty or cannot be read, or a line has no label, or paths with ambiguous spaces.
        FileError: it is not a regular file.
    """
    text, below = decode_text(read_regular_file(path), path.name).text, _paths_below(root)
    clips = listed_clips(text, path.name, is_there=lambda path: below is not None and below.find(path) is not None)
    if not clips:
        came = f'{path.name}, which is empty'
        raise TableError(expected='a clip in every line', came=came, todo='give an official split list')
    return clips


def _paths_below(root: Path | None) -> PathsBelow | None:
    return None if root is None else PathsBelow(root, images_path)


def _path_of(path: str, below: PathsBelow | None) -> str | None:
    """The path from the root on, or unchanged without a root; None if it does not exist."""
    return path if below is None else below.find(path)


def _missing_path(path: str, below: PathsBelow | None) -> str:
    """The path for the manifest of a file that was not found; `..` is removed, so that it stays below the root."""
    parts = path.replace('\\', '/').split('/')
    if below is None or '..' not in parts:
        return path
    return '/'.join(part for part in parts if part not in ('', '.', '..'))


def split_manifest(
    source: Path | Sequence[Path],
    root: Path | None = None,
    *,
    corpus: str = '',
    categories: Sequence[str] = (),
    ratings: Sequence[str] = RATINGS,
) -> Manifest:
    """The clips of official lists.

    Args:
        source: one list; a folder with `train.csv`, `val.csv` and `test.csv`; a folder of such folders, one per fold
            (`split01`, `split02`, …); or the test lists of all folds in their order.
        root: folder of your frames and audio; None keeps the paths of the lists.
        corpus: name of the corpus; '' for the folder's name.
        categories: names of classes 0, 1, …; empty for their numbers.
        ratings: names of the three ratings in the order of the lists: a permutation of `RATINGS`.

    Returns:
        A row per clip, named by the shortest unique end of its path, with its part of the published split or with the
        fold in which it is tested. Irregularities are in `facts.notes`.

    Raises:
        TableError: see `read_split`; a clip has two labels, or a class has no name.
        UnknownNameError: `ratings` is not a permutation of `RATINGS`.
        CorpusError: there are no lists, or none of their clips is below `root`.
    """
    if len(set(ratings)) != 3 or not set(ratings) <= set(RATINGS):
        came = ', '.join(map(repr, ratings))
        raise UnknownNameError(expected=f'{", ".join(RATINGS)} in any order', came=came, todo='name each once')
    files = _files(source)
    lists = {file: read_split(file, root) for file, *_ in files}
    notes = [*_repeats(lists), *_overlaps(files, lists)]
    membership = {line.path: (line, part, fold) for file, part, fold in files for line in lists[file]}
    _require_one_label(lists)
    names = _names([line for line, *_ in membership.values()])
    below, rows, missing = _paths_below(root), [], Counter[str]()
    for line, part, fold in membership.values():
        row = _row(names[line.path], line, below, missing, categories, ratings)
        rows.append(replace(row, split=part, fold=fold))
    if root is not None and missing['clips'] == len(rows):
        raise CorpusError(
            expected=f'clips of {files[0][0].name} below {root}',
            came=f'not one of {len(rows):,}, such as {rows[0].sample}',
            todo='give the folder that holds the frames, at any depth above them',
        )
    notes += [f'{count:,} of {len(rows):,} {noun} are not below {root}' for noun, count in missing.items() if count]
    corpus_facts = Facts(
        corpus or files[0][0].resolve().parent.name,
        categories=_categories(rows, categories),
        root=str(root or ''),
        sources={f'{file.parent.name}/{file.name}': file_sha256(file) for file, *_ in files},
        notes=tuple(notes),
    )
    return Manifest(corpus_facts, rows)


def _files(source: Path | Sequence[Path]) -> list[tuple[Path, str | None, int | None]]:
    """Lists with their part and fold; a clip in several belongs to the last of them."""
    if not isinstance(source, Path):
        return [(path, None, fold) for fold, path in enumerate(source, 1)]
    if source.is_file():
        return [(source, source.stem if source.stem in PARTS else None, None)]
    parts = [(source / f'{part}.csv', part, None) for part in PARTS]
    if split_lists := [(path, part, None) for path, part, _ in parts if path.is_file()]:
        return [*split_lists]
    folds = sorted(path for path in source.glob('*/test.csv') if path.parent.name[-1:].isdigit())
    if not folds:
        raise CorpusError(
            expected='train.csv, val.csv and test.csv, or a folder of them for each fold', came=f'{source} without',
            todo='give the folder of the official lists, or one list',
        )  # fmt: skip
    return [(path, None, fold) for fold, path in enumerate(folds, 1)]


def _repeats(lists: dict[Path, list[ListedClip]]) -> list[str]:
    """Sentences on lists that name a clip more than once; it is taken once."""
    repeats = {file.name: len(lines) - len({line.path for line in lines}) for file, lines in lists.items()}
    return [
        f'{counted(count, "line")} of {name} left out that only repeat a clip'
        for name, count in repeats.items()
        if count
    ]


def _overlaps(files: Sequence[tuple[Path, str | None, int | None]], lists: dict[Path, list[ListedClip]]) -> list[str]:
    """Sentences on clips that are in two lists; each is taken from the later one alone."""
    notes = []
    for position, (later, *_) in enumerate(files):
        for earlier, *_ in files[:position]:
            later_paths, earlier_paths = ({line.path for line in lists[file]} for file in (later, earlier))
            if later_paths == earlier_paths:
                notes.append(
                    f'{earlier.name} holds the same {counted(len(later_paths), "clip")} as {later.name}: there is no '
                    f'{earlier.stem} part, and whoever chooses on it chooses on the clips of {later.stem}'
                )
            elif shared := len(later_paths & earlier_paths):
                notes.append(f'{counted(shared, "clip")} of {earlier.name} also in {later.name}, and taken from there')
    return notes


def _require_one_label(lists: dict[Path, list[ListedClip]]) -> None:
    labels: dict[str, tuple[float, ...]] = {}
    for file, lines in lists.items():
        for line in lines:
            if labels.setdefault(line.path, line.labels) != line.labels:
                came = f'{line.name!r} with {_in_words(labels[line.path])} and with {_in_words(line.labels)}'
                raise TableError(expected='one label a clip', came=f'{came} in {file.name}', todo='correct the lists')


def _in_words(labels: Sequence[float]) -> str:
    return ' '.join(f'{label:g}' for label in labels)


def _names(lines: Sequence[ListedClip]) -> dict[str, str]:
    """Path to the shortest end of it that no other clip has."""
    parts = {line.path: (*PurePosixPath(line.path).parent.parts, line.name) for line in lines}
    names: dict[str, str] = {}
    unnamed, depth = [*parts], 1
    while unnamed:
        candidates = {path: '/'.join(parts[path][-depth:]).removesuffix(ALIGNED) for path in unnamed}
        counts = Counter(candidates.values())
        is_whole_path = depth >= max(len(parts[path]) for path in unnamed)
        names |= {
            path: candidate if counts[candidate] == 1 else path
            for path, candidate in candidates.items()
            if counts[candidate] == 1 or is_whole_path
        }
        unnamed, depth = [path for path in unnamed if path not in names], depth + 1
    return names


def _row(
    name: str,
    line: ListedClip,
    below: PathsBelow | None,
    missing: Counter[str],
    categories: Sequence[str],
    ratings: Sequence[str],
) -> Sample:
    is_video = PurePosixPath(line.path).suffix.lower() in VIDEO
    media_path = _path_of(line.path, below)
    if is_video and line.audio is None:
        audio = _voxceleb_audio(line.path, below)
    else:
        audio = line.audio and _path_of(line.audio, below)
    missing['clips'] += media_path is None
    missing['audio files'] += line.audio is not None and audio is None
    path = media_path or _missing_path(line.path, below)
    audio_path = audio or (_missing_path(line.audio, below) if line.audio else None)
    row = Sample(name, video=path if is_video else None, frames=None if is_video else path, audio=audio_path)
    if len(line.labels) == 3:
        ratings_by_name = dict(zip(ratings, line.labels, strict=True))
        return replace(row, **{rating: ratings_by_name[rating] for rating in RATINGS})  # type: ignore[arg-type]
    label, class_count = int(line.labels[0]), len(categories) or MOST_CLASSES
    if label != line.labels[0] or not 0 <= label < class_count:
        expected = f'a class from 0 to {class_count - 1:,}'
        raise TableError(
            expected=expected, came=f'{line.labels[0]:g} for {name}', todo='name every class, or correct it'
        )
    return replace(row, category=categories[label] if categories else str(label))


def _voxceleb_audio(video: str, below: PathsBelow | None) -> str | None:
    """Audio beside a video of VoxCeleb2, `…/video/…/mp4/ID.mp4` to `…/audio/…/aac/ID.wav`; None if there is none."""
    parts = PurePosixPath(video).parts
    if below is None or 'mp4' not in parts:
        return None
    renamed = ['audio' if part == 'video' else 'aac' if part == 'mp4' else part for part in parts[:-1]]
    for suffix in ('.wav', '.m4a'):
        if path := below.find('/'.join([*renamed, PurePosixPath(video).stem + suffix])):
            return path
    return None


def _categories(rows: Sequence[Sample], categories: Sequence[str]) -> tuple[str, ...]:
    if categories:
        return tuple(categories)
    numbers = {row.category for row in rows if row.category is not None}
    return tuple(str(number) for number in range(max(map(int, numbers), default=-1) + 1))

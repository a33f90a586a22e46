"""Folds given by lists, in releases and in the lists of HiCMAE and SVFAP.

`listed_clips.py` reads the lines of `split01/test.csv` …; a label is the number of a category, or one number per
dimension. Media are found below the release by the trailing parts of the paths. A `val.csv` beside them repeats the
test list and is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from affekt.corpora.listed_clips import ListedClip, PathsBelow, listed_clips
from affekt.corpora.release import Layout, Release
from affekt.corpora.sample import Sample
from affekt.errors import TableError, listed
from affekt.wording import counted

MOST_FOLDS = 20
ADVICE = 'take the lists of the release as they are'

Labels = Mapping[str, str]


@dataclass(frozen=True)
class ListForm:
    """Contents of a corpus's lists, and naming of its samples.

    Args:
        named: function from the parts of a frame folder's path to the name of its sample.
        categories: categories in the order of their numbers, from 0; () if labels are dimensions.
        dimensions: columns of a manifest, in the order of the numbers on a line.
        beside: function from a sample's name to further columns of a manifest.
    """

    named: Callable[[Sequence[str]], str]
    categories: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    beside: Callable[[str], Mapping[str, Any]] = field(default=lambda name: {})


def fold_lists(form: ListForm) -> Layout:
    """The layout of a corpus with folds in lists: `split01/test.csv`, `split01/train.csv`, `split02/` …"""
    return Layout(('split01/test.csv',), partial(_by_fold, form=form), 'split lists')


def part_lists(form: ListForm, folder: str) -> Layout:
    """The layout of a corpus with a single division: `train.csv` and `test.csv` in a folder."""
    return Layout((f'{folder}/test.csv',), partial(_by_part, form=form, folder=folder), 'split lists')


def folds_of(
    release: Release, tests: Mapping[int, Labels], trains: Mapping[int, Labels], count: int
) -> Iterator[tuple[str, str, int]]:
    """Name, label and testing fold of each sample, once per sample.

    Args:
        release: release that gets a note where a training list is not the complement of its test list.
        tests: fold to the labels of its test part.
        trains: fold to the labels of its training part; folds may be missing.
        count: expected number of folds.

    Raises:
        TableError: a sample is tested twice, or has two labels.
    """
    tested: dict[str, tuple[str, int]] = {}
    for fold, labels in tests.items():
        for name, label in labels.items():
            if name in tested:
                came = f'{name} in folds {tested[name][1]} and {fold}'
                raise TableError(expected='every sample tested once', came=came, todo=ADVICE)
            tested[name] = (label, fold)
    for fold, labels in trains.items():
        conflicting = [name for name, label in labels.items() if name in tested and tested[name][0] != label]
        if conflicting:
            came = f'another in the train list of fold {fold} for {listed(conflicting)}'
            raise TableError(expected='one label per sample', came=came, todo=ADVICE)
        overlap = [name for name in labels if tested.get(name, ('', 0))[1] == fold]
        in_neither = {name for name, (_, test_fold) in tested.items() if test_fold != fold} - set(labels)
        if overlap or (in_neither and len(tests) == count):
            release.notes.append(
                f'fold {fold}: {counted(len(overlap), "sample")} in train and test, {len(in_neither)} in neither'
            )
    yield from ((name, label, fold) for name, (label, fold) in tested.items())


def _by_fold(release: Release, form: ListForm) -> Iterator[Sample]:
    """Every clip of the test lists once, with the fold that tests it."""
    clips: dict[str, ListedClip] = {}
    tests: dict[int, Labels] = {}
    trains: dict[int, Labels] = {}
    for fold in range(1, MOST_FOLDS + 1):
        for side, labels in (('test', tests), ('train', trains)):
            clips_of_list = _list(release, f'split{fold:02d}/{side}.csv', form, is_needed=fold in tests)
            if clips_of_list:
                labels[fold] = {name: repr(clip.labels) for name, clip in clips_of_list.items()}
                clips = clips_of_list | clips if side == 'test' else clips
    below = PathsBelow(release.folder)
    for name, _, fold in folds_of(release, tests, trains, len(tests)):
        yield _sample(name, clips[name], form, partial(_path_below, release=release, below=below), fold=fold)


def _by_part(release: Release, form: ListForm, folder: str) -> Iterator[Sample]:
    below = PathsBelow(release.folder)
    for split in ('train', 'test'):
        for name, clip in _list(release, f'{folder}/{split}.csv', form, is_needed=True).items():
            yield _sample(name, clip, form, partial(_path_below, release=release, below=below), split=split)


def _list(release: Release, file: str, form: ListForm, *, is_needed: bool) -> dict[str, ListedClip]:
    """Name of a sample to its line; {} if the file is missing, with a note where it is needed.

    Raises:
        TableError: several files have this name, or a sample is duplicated.
    """
    paths = [path for path in release.every(file) if path.is_file()]
    if not paths:
        if is_needed:
            release.notes.append(f'{file} is missing')
        return {}
    if len(paths) > 1 and paths[0] != release.folder / file:
        came = listed(str(path.relative_to(release.folder)) for path in paths)
        raise TableError(expected=f'lists of one corpus, one {file}', came=came, todo='name the folder of one of them')
    clips: dict[str, ListedClip] = {}
    for clip in listed_clips(release.text(paths[0]), file, max(1, len(form.dimensions))):
        parts = [part for part in re.split(r'[/\\]', clip.path) if part]
        name = form.named(parts) if parts else ''
        if name in clips:
            raise TableError(expected='every clip once in a list', came=f'{name} twice in {file}', todo=ADVICE)
        clips[name] = clip
    return clips


def _sample(
    name: str, clip: ListedClip, form: ListForm, place_of: Callable[[str | None], str | None], **cells: Any
) -> Sample:
    if form.dimensions:
        cells |= zip(form.dimensions, clip.labels, strict=True)
    else:
        (label,) = clip.labels
        if not label.is_integer() or not 0 <= label < len(form.categories):
            raise TableError(
                expected=f'a label from 0 to {len(form.categories) - 1}', came=f'{label:g} for {name} in a split list',
                todo='take the lists of this corpus as they are',
            )  # fmt: skip
        cells['category'] = form.categories[int(label)]
    return Sample(name, frames=place_of(clip.path), audio=place_of(clip.audio), **form.beside(name), **cells)


def _path_below(path: str | None, release: Release, below: PathsBelow) -> str | None:
    """Path below a release, at any depth, of a listed path; None if nothing exists."""
    if path is None:
        return None
    if (found := below.find(path)) is not None:
        return found
    parts = [part for part in re.split(r'[/\\]', path) if part not in ('', '.')]
    if not parts or '..' in parts:
        return None
    if not below.knows(path) and (deeper := release.every('/'.join(parts[-2:]))):
        found = deeper[0].relative_to(release.folder).as_posix()
        below.learn(path, found)
        return found
    if not release.places:
        release.places['/'.join(parts[-3:-1]) or parts[-1]] = None
    return None

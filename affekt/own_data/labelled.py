"""Labelled clips from a manifest or any table: categories as in EKMAN, ratings rescaled to [-1, 1].

A label outside the seven categories keeps its name: such clips are analyzed, to see whether affekt abstains, and are
not scored. The scale of ratings is the manifest's, or must be given; it cannot be inferred from the numbers.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affekt.corpora import Manifest, Sample, own_manifest
from affekt.errors import TableError, UnknownNameError, ValueRangeError, did_you_mean
from affekt.labels import EKMAN, ekman_of
from affekt.wording import counted, listed

DIMENSIONS = ('valence', 'arousal')
Scale = tuple[float, float]
"""Lowest and highest rating that raters could give; the middle becomes 0."""


@dataclass(frozen=True)
class LabelledClip:
    """A labelled row of the manifest."""

    name: str
    path: Path | None
    """Path of its file; None if the manifest refers to no existing one."""
    window_s: tuple[float, float] | None = None
    """Start and end of the clip within the file, in seconds; None if the clip is the whole file."""
    label: str = ''
    """Label in the manifest; '' without a category."""
    category: str = ''
    """Category of EKMAN; '' if the label means none of them."""
    valence: float = float('nan')
    """Valence in [-1, 1]; nan without a rating."""
    arousal: float = float('nan')
    group: str = ''
    """Group that is resampled together."""


@dataclass(frozen=True)
class LabelledClips:
    """All clips that have a label."""

    corpus: str
    clips: tuple[LabelledClip, ...]
    grouped_by: str
    """'speaker', 'dialogue', 'recording' or 'session'; '' if each clip is its own group."""
    unlabelled: int = 0
    """Number of rows without category and rating, which are left out."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def drawn(self, limit: int | None, rng: np.random.Generator) -> LabelledClips:
        """At most `limit` clips, drawn without replacement, in their order."""
        if limit is None or limit >= len(self.clips):
            return self
        indices = np.sort(rng.permutation(len(self.clips))[:limit])
        note = f'{limit:,} of {len(self.clips):,} clips were drawn at random'
        return dataclasses.replace(self, clips=tuple(self.clips[index] for index in indices), notes=(note, *self.notes))


def labelled_clips(
    manifest: Path | Manifest,
    *,
    media: Path | None = None,
    scales: Mapping[str, Scale] | None = None,
    names: Mapping[str, str] | None = None,
    split: str = '',
) -> LabelledClips:
    """The labelled clips of a manifest or a table.

    Args:
        manifest: manifest from `affekt corpus import` (.parquet), or a table with a row per clip: file, emotion, and
            optionally valence, arousal, speaker, split, start and end.
        media: folder that paths are relative to; None for the manifest's own.
        scales: 'valence' or 'arousal' to the ends of its scale, which the manifest may state instead.
        names: label to EKMAN category, or to '' for none of them; takes precedence over the known names.
        split: split to use; '' for all.

    Raises:
        TableError: the table cannot be read, no clip has a label, or a scale is unknown.
        UnknownNameError: unknown split, label or category.
        ValueRangeError: a rating is outside its scale.
    """
    full_manifest = manifest if isinstance(manifest, Manifest) else _manifest(manifest, media)
    rows = _of_split(full_manifest, split)
    known_scales = _scales(rows, scales or {})
    categories, notes = _categories(rows, names or {})
    grouped_by = next((name for name in ('speaker', 'dialogue', 'recording', 'session') if _is_whole(rows, name)), '')
    groups = rows.groups()
    clips, unlabelled = [], 0
    for row, group in zip(rows.samples, groups.tolist(), strict=True):
        ratings = {name: _rating(row, name, known_scales) for name in DIMENSIONS}
        if not row.category and all(np.isnan(value) for value in ratings.values()):
            unlabelled += 1
            continue
        path, medium = _file_of(rows, row)
        window = rows.window_s(row, medium) if medium else None
        label = row.category or ''
        clips.append(LabelledClip(row.sample, path, window, label, categories.get(label, ''), **ratings, group=group))
    if not clips:
        raise TableError(
            expected='a clip with a category, valence or arousal',
            came=f'{counted(len(rows), "row")} of {full_manifest.facts.corpus} without any',
            todo='name the columns emotion, valence and arousal',
        )
    if not grouped_by:
        notes.append('not every clip has a speaker: intervals treat clips as independent, and are too narrow')
    return LabelledClips(
        full_manifest.facts.corpus,
        tuple(clips),
        grouped_by,
        unlabelled,
        known_scales,
        (*full_manifest.facts.notes, *notes),
    )


def _manifest(path: Path, media: Path | None) -> Manifest:
    if path.suffix.lower() == '.parquet':
        return Manifest.load(path, media)
    return own_manifest(path, media)


def _of_split(manifest: Manifest, split: str) -> Manifest:
    if not split:
        return manifest
    splits = [name for name in manifest.coded('split').values if name]
    if split not in splits:
        raise UnknownNameError(
            expected=f'a split among {listed(splits) or "none: there is no such column"}', came=repr(split),
            todo=did_you_mean(split, splits),
        )  # fmt: skip
    return manifest.where(split=split)


def _is_whole(manifest: Manifest, name: str) -> bool:
    return bool(manifest.samples.known(name).all())


def _file_of(manifest: Manifest, row: Sample) -> tuple[Path | None, str]:
    """A clip's file and its medium: the file with the row's name, else the video; (None, '') if there is none."""
    paths = {medium: path for medium in ('video', 'audio') if (path := manifest.media(row, medium)) is not None}
    named = [medium for medium, path in paths.items() if path.name == Path(row.sample).name]
    medium = next(iter((*named, *paths)), '')
    return (paths[medium], medium) if medium and paths[medium].is_file() else (None, '')


def _categories(manifest: Manifest, names: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Label to category or '', and sentences on the mapping."""
    labels = Counter({name: count for name, count in manifest.coded('category').counts().items() if name})
    for label, category in names.items():
        if label not in labels:
            raise UnknownNameError(
                expected=f'a label among {listed(sorted(labels))}', came=repr(label), todo=did_you_mean(label, labels)
            )
        if category and category not in EKMAN:
            raise UnknownNameError(
                expected=f'a category among {", ".join(EKMAN)}', came=f'{category!r} for {label!r}',
                todo=did_you_mean(category, EKMAN),
            )  # fmt: skip
    categories = {label: names.get(label, ekman_of(label) or '') for label in labels}
    renamed = [
        f'{label} as {category}' for label, category in sorted(categories.items()) if category not in ('', label)
    ]
    unknown = sorted(label for label, category in categories.items() if not category)
    notes = [f'labels counted as categories: {listed(renamed)}'] if renamed else []
    if unknown:
        clips = counted(sum(labels[label] for label in unknown), 'clip')
        notes.append(
            f'no category of affekt: {listed(unknown)} ({clips}); not scored; the tables show whether affekt abstains'
        )
    return categories, notes


def _scales(manifest: Manifest, stated: Mapping[str, Scale]) -> dict[str, Scale]:
    """The scale of each dimension that has ratings, given or from the manifest.

    Raises:
        TableError: the scale is unknown.
        ValueRangeError: a rating is outside it.
    """
    scales: dict[str, Scale] = {}
    for name in DIMENSIONS:
        values = manifest.samples.floats(name)[manifest.samples.known(name)]
        if not len(values):
            continue
        scale = stated.get(name) or manifest.facts.ranges.get(name)
        if scale is None:
            raise TableError(
                expected=f'the scale of {name}',
                came=f'values from {values.min():g} to {values.max():g}, which do not determine its ends',
                todo=f'add the least and the largest value that raters could give, such as --scale {name}=1..5',
            )
        low, high = scale
        if values.min() < low or values.max() > high:
            outside = values[(values < low) | (values > high)][0]
            raise ValueRangeError(
                expected=f'{name} from {low:g} to {high:g}', came=f'{outside:g}', todo='correct the scale or the table'
            )
        scales[name] = (low, high)
    return scales


def _rating(row: Sample, name: str, scales: Mapping[str, Scale]) -> float:
    """The rating 2 (value - low) / (high - low) - 1, in [-1, 1]; nan without one."""
    value = getattr(row, name)
    if value is None or name not in scales:
        return float('nan')
    low, high = scales[name]
    return 2 * (float(value) - low) / (high - low) - 1


def parsed_scales(texts: Sequence[str]) -> dict[str, Scale]:
    """Scales in the notation of the command line: '1..5' for both dimensions, 'arousal=1..9' for one.

    Raises:
        ValueRangeError: a text is neither, or its ends are not in order.

    >>> parsed_scales(['1..5', 'arousal=-1..1'])
    {'valence': (1.0, 5.0), 'arousal': (-1.0, 1.0)}
    """
    scales: dict[str, Scale] = {}
    for text in texts:
        name, _, ends = text.rpartition('=')
        low, dots, high = ends.partition('..')
        try:
            scale = float(low), float(high)
        except ValueError:
            dots = ''
        if not dots or name not in ('', *DIMENSIONS) or not scale[0] < scale[1] or not np.isfinite(scale).all():
            raise ValueRangeError(
                expected='a scale such as 1..5 or arousal=-1..1', came=repr(text), todo='give its lower end first'
            )
        scales |= dict.fromkeys([name] if name else DIMENSIONS, scale)
    return scales

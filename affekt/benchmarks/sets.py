"""The nine sets of MER-UniBench as a table, and the reading of their labels from the official releases.

A row has what differs between sets: number of samples, label file of the release, order of emotions, test samples,
metric, and grouping of samples. No other code in this room depends on a set's name.

Source: AffectGPT, arXiv:2501.16566 (composition); MERBench, arXiv:2401.03429 (label files).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affekt.errors import TableError, UnknownNameError, listed
from affekt.npz import read_npz
from affekt.tables import ENDINGS, answers_by_name, by_name, number, read_columns

Task = Literal['fine-grained', 'basic', 'sentiment']
METRICS: Mapping[Task, str] = {'fine-grained': 'EW-L1 F', 'basic': 'HIT', 'sentiment': 'WAF'}
"""Task to its headline metric."""
NAMES = ('name', 'names', 'filenames')
"""Headers of the names of samples in a plain table."""
TRUTHS: Mapping[Task, tuple[str, ...]] = {
    'fine-grained': ('openset', 'labels', 'label'),
    'basic': ('label', 'emotion', 'emo', 'discrete'),
    'sentiment': ('sentiment', 'valence', 'val', 'label'),
}
"""Headers of the truth in a plain table."""


@dataclass(frozen=True)
class UniBenchSet:
    """One set of the benchmark."""

    name: str
    key: str
    """Name in files and folders."""
    task: Task
    samples: int
    """Number of test samples in the published composition."""
    split: str
    """Name of the test part in the paper."""
    folder: str
    """Folder of the official release or of MERBench."""
    file: str
    """Label file in that folder."""
    corpus: str = ''
    """Name of the test dictionary in the archive."""
    prefix: str = ''
    """Prefix of the names of test samples, if one dictionary has all samples."""
    emotions: tuple[str, ...] = ()
    """Emotions in the order of the release's numbers."""
    together: str = ''
    """Pattern for the part of a name that samples of one dialogue or recording share; '' for independent samples."""
    also: tuple[str, ...] = ()
    """Other names of its folder of predictions."""
    source: str = ''
    """Where to get it."""
    importer: str = ''
    """Name of the corpus whose importer reads its release; '' for its key."""
    said: str = 'english'
    """Column of the manifest that the benchmark uses as subtitle."""

    @property
    def metric(self) -> str:
        """Name of the headline metric."""
        return METRICS[self.task]

    def group(self, name: str) -> str:
        """The dialogue or recording of a sample; its own name if there is none."""
        match = re.match(self.together, name) if self.together else None
        return match.group(0) if match else name


_MER = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')
_MERBENCH = 'MERBench folder of github.com/zeroQiaoba/MERTools'
_MEDIA = 'label.npz of the {} (the corpus itself asks for its own agreement)'

UNIBENCH: tuple[UniBenchSet, ...] = (
    UniBenchSet(
        'MER2023', 'mer2023', 'basic', 411, 'MER-MULTI (test1)', 'mer2023-dataset-process', 'label-6way.npz',
        'test1_corpus', emotions=_MER, source=f'label-6way.npz of the {_MERBENCH}',
    ),
    UniBenchSet(
        'MER2024', 'mer2024', 'basic', 1169, 'MER-SEMI (test1)', 'mer2024-dataset-process', 'label-6way.npz',
        'test1_corpus', emotions=_MER, said='chinese',
        source='not public: sign the EULA named at github.com/zeroQiaoba/MERTools',
    ),
    UniBenchSet(
        'MELD', 'meld', 'basic', 2610, 'test', 'meld-process', 'label.npz', 'test_corpus',
        emotions=('anger', 'joy', 'sadness', 'neutral', 'disgust', 'fear', 'surprise'), together=r'.*dia\d+',
        source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'IEMOCAP', 'iemocap', 'basic', 1241, 'session 5, 4 classes', 'iemocap-process', 'label_4way.npz',
        'whole_corpus', prefix='Ses05', emotions=('happy', 'sad', 'neutral', 'anger'), together=r'.*(?=_[FM]\d+$)',
        also=('iemocapfour',), importer='iemocap4', source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'CMU-MOSI', 'cmumosi', 'sentiment', 686, 'test', 'cmumosi-process', 'label.npz', 'test_corpus',
        together=r'.*(?=_\d+$)', also=('cmu-mosi', 'mosi'), importer='mosi', source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'CMU-MOSEI', 'cmumosei', 'sentiment', 4659, 'test', 'cmumosei-process', 'label.npz', 'test_corpus',
        together=r'.*(?=_\d+$)', also=('cmu-mosei', 'mosei'), importer='mosei', source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'CH-SIMS', 'sims', 'sentiment', 457, 'test', 'sims-process', 'label.npz', 'test_corpus',
        together=r'.*(?=_\d+$)', also=('ch-sims', 'chsims'), source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'CH-SIMS v2', 'simsv2', 'sentiment', 1034, 'test', 'simsv2-process', 'label.npz', 'test_corpus',
        together=r'.*(?=_\d+$)', also=('ch-simsv2', 'ch-sims-v2', 'chsimsv2'), source=_MEDIA.format(_MERBENCH),
    ),
    UniBenchSet(
        'OV-MERD+', 'ovmerdplus', 'fine-grained', 532, 'all', 'ovmerdplus-process', 'ovlabel.csv',
        also=('ov-merd+', 'ovmerd+', 'ovmerd', 'ovmerdplus_public332'), importer='ov-merd-plus',
        source='ovlabel.csv of the gated data set MERChallenge/MER-UniBench; 332 of its 532 lists are public as '
        'check-openset.csv in the folder MER2024 of github.com/zeroQiaoba/MERTools',
    ),
)  # fmt: skip
"""The sets in the order of the published table."""


def set_named(name: str) -> UniBenchSet:
    """The set with a name, key, or folder of predictions.

    Raises:
        UnknownNameError: unknown set.
    """
    key = name.lower().removeprefix('results-')
    for unibench_set in UNIBENCH:
        if key in (unibench_set.key, unibench_set.name.lower(), *unibench_set.also):
            return unibench_set
    raise UnknownNameError(
        expected=f'one of {", ".join(unibench_set.key for unibench_set in UNIBENCH)}',
        came=repr(name),
        todo='name one of these sets',
    )


def find_labels(unibench_set: UniBenchSet, labels: Path) -> Path | None:
    """The set's label file in a folder of releases; None if there is none.

    The search covers the release's own path (`meld-process/label.npz`), the same under the set's key
    (`meld/label.npz`), and a plain table (`meld.csv`, `meld/labels.csv`, `.xlsx`, `.jsonl` …).

    Raises:
        TableError: several files match.
    """
    folders = (unibench_set.folder, unibench_set.folder.removesuffix('-process'), unibench_set.key, unibench_set.name)
    files = (
        unibench_set.file,
        *(f'{stem}{ending}' for stem in ('labels', 'label', 'ovlabel', 'check-openset') for ending in ENDINGS),
    )
    candidates = [labels / folder / file for folder in folders for file in files]
    candidates += [labels / f'{unibench_set.key}{ending}' for ending in ENDINGS]
    present = {path.resolve(): path for path in candidates if path.is_file()}
    if len(present) > 1:
        raise TableError(
            expected=f'one label file for {unibench_set.name}',
            came=listed([str(path.relative_to(labels)) for path in present.values()]),
            todo='keep one of them in the folder',
        )
    return next(iter(present), None)


def read_labels_of(unibench_set: UniBenchSet, path: Path) -> dict[str, Any]:
    """Name of a sample to its truth: a label, a sentiment, or an answer with free labels.

    Raises:
        TableError: the file does not contain the set's test, or has a label that the set does not have.
        ArchiveError: the archive is damaged.
    """
    labels = _from_archive(unibench_set, path) if path.suffix == '.npz' else _from_table(unibench_set, path)
    if not labels:
        raise TableError(
            expected=f'labels of {unibench_set.name}, {unibench_set.split}',
            came=f'{path} without any',
            todo=unibench_set.source,
        )
    return {name: _checked(unibench_set, name, value, path) for name, value in labels.items()}


def _from_archive(unibench_set: UniBenchSet, path: Path) -> dict[str, Any]:
    archive = read_npz(path)
    corpus = archive.get(unibench_set.corpus)
    if not isinstance(corpus, dict):
        return _from_table(unibench_set, path)
    field = 'val' if unibench_set.task == 'sentiment' else 'emo'
    try:
        return {str(name): row[field] for name, row in corpus.items() if str(name).startswith(unibench_set.prefix)}
    except (TypeError, KeyError) as error:
        raise TableError(
            expected=f'{unibench_set.corpus} with {field} for every sample',
            came=f'{path}: {error}',
            todo=unibench_set.source,
        ) from error


def _from_table(unibench_set: UniBenchSet, path: Path) -> dict[str, Any]:
    columns = read_columns(path)
    reader = answers_by_name if unibench_set.task == 'fine-grained' else by_name
    labels = reader(columns, path, NAMES, TRUTHS[unibench_set.task])
    if labels is None:
        raise TableError(
            expected=f'a column {" or ".join(TRUTHS[unibench_set.task])}',
            came=f'{path} with {columns.seen()}',
            todo='name the columns so',
        )
    return labels


def _checked(unibench_set: UniBenchSet, name: str, value: Any, path: Path) -> Any:
    try:
        if unibench_set.task == 'sentiment':
            sentiment = number(value)
            if not -3.0 <= sentiment <= 3.0:
                raise ValueError(f'{sentiment} outside [-3, 3]')
            return sentiment
        if unibench_set.task == 'fine-grained':
            return value
        if isinstance(value, (int, float)) or str(value).isdecimal():
            if not math.isfinite(index := float(value)) or index != int(index):
                raise ValueError(f'label {value!r}')
            return _emotion(unibench_set.emotions, int(index))
        label = str(value).strip().lower()
        if label not in unibench_set.emotions:
            raise ValueError(f'label {label!r}')
        return label
    except (ValueError, TypeError, IndexError) as error:
        allowed = 'sentiment' if unibench_set.task == 'sentiment' else f'label among {", ".join(unibench_set.emotions)}'
        raise TableError(
            expected=f'a {allowed} for every sample of {unibench_set.name}',
            came=f'{path}, sample {name!r}: {error}',
            todo='correct the label file',
        ) from error


def _emotion(emotions: Sequence[str], index: int) -> str:
    if not 0 <= index < len(emotions):
        raise IndexError(f'number {index} of {len(emotions)} emotions')
    return emotions[index]

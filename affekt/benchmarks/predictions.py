"""Predictions in a folder: their sets, models and checkpoints, and the answers in the files.

Two layouts are supported. The released one has `results-<set>/<model>/<checkpoint>-openset.npz` (and for sentiment
`<checkpoint>-openset-sentiment.npz`) beside the descriptions `<checkpoint>.npz`. Ours has `<set>/<checkpoint>.csv` (or
another type of table) with the columns name, openset and, for sentiment sets, sentiment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.benchmarks.sets import NAMES, UniBenchSet, set_named
from affekt.errors import TableError, UnknownNameError, listed
from affekt.tables import ENDINGS, answers_by_name, by_name, read_columns

OPENSETS = ('openset', 'labels', 'prediction', 'answer', 'fileitems')
"""Headers of predicted labels, in order of preference; `fileitems` is that of the released archives."""
SENTIMENTS = ('sentiment',)
"""Headers of predicted sentiment words."""
_NUMBER = re.compile(r'(?:checkpoint|ckpt|epoch)?[-_]?0*(\d+)(?:_loss.*)?$')


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint on one set."""

    openset: Path | None
    sentiment: Path | None

    @property
    def paths(self) -> list[Path]:
        """The files that exist."""
        return [path for path in (self.openset, self.sentiment) if path]


@dataclass(frozen=True)
class Prediction:
    """The answers of one checkpoint on one set."""

    openset: Mapping[str, Any]
    """Name of a sample to its text or list of labels; empty if there are only sentiment words."""
    sentiment: Mapping[str, str] | None
    """Name of a sample to its sentiment word; None if the files have none."""
    is_extracted: bool = False
    """Whether affekt extracted the labels (its column `how` says from what): then all answers may be without any."""


def short_name(checkpoint: str) -> str:
    """`30` for `checkpoint_000030_loss_0.602`; other names are unchanged."""
    match = _NUMBER.match(checkpoint)
    return match.group(1) if match else checkpoint


@dataclass(frozen=True)
class FoundPredictions:
    """Contents of a folder of predictions."""

    sets: Mapping[str, Mapping[str, CheckpointFiles]]
    """Set key to checkpoint to files, checkpoints in numerical order."""
    strangers: tuple[str, ...]
    """Folders that are not named after a set, which are ignored."""


def find_predictions(root: Path, *, sets: Collection[str] = (), model: str | None = None) -> FoundPredictions:
    """Find the checkpoints of every set in a folder.

    Args:
        root: folder of predictions.
        sets: keys of the sets; () for all.
        model: name of the folder with the checkpoints below each set, if there are several.

    Raises:
        TableError: the folder is missing or empty, or there are several models and none is chosen.
        UnknownNameError: a folder `results-…` does not belong to a known set.
    """
    children = folder_content(root, 'predictions')
    by_set: dict[str, dict[str, CheckpointFiles]] = {}
    strangers = []
    for child in (child for child in children if child.is_dir()):
        try:
            found_set = set_named(child.name)
        except UnknownNameError:
            if child.name.startswith('results-') and not sets:
                raise
            strangers.append(child.name)
            continue
        if sets and found_set.key not in sets:
            continue
        if found_set.key in by_set:
            raise TableError(
                expected=f'one folder for {found_set.name}', came=f'a second, {child}', todo='keep one of them'
            )
        checkpoints = _checkpoints(_model_folder(child, model))
        if checkpoints:
            by_set[found_set.key] = checkpoints
    if not by_set:
        raise TableError(
            expected=f'folders of predictions named {", ".join(sets) or "meld, cmumosi, results-meld …"}',
            came=f'{root} with {listed([child.name for child in children])}',
            todo='put <set>/<checkpoint>.csv (name,openset) or the released results-<set>/<model>/*-openset.npz there',
        )
    return FoundPredictions(by_set, tuple(strangers))


def folder_content(root: Path, what: str) -> list[Path]:
    """Entries of a folder, sorted, without hidden files.

    Raises:
        TableError: `root` is missing, not a folder, or empty.
    """
    children = sorted(path for path in root.iterdir() if not path.name.startswith('.')) if root.is_dir() else []
    if not children:
        state = 'an empty folder' if root.is_dir() else 'a file' if root.is_file() else 'nothing'
        raise TableError(expected=f'a folder of {what}', came=f'{state} at {root}', todo='check the path')
    return children


def prediction_files(folder: Path) -> list[Path]:
    """Tables in a folder, without their settings files."""
    if not folder.is_dir():
        return []
    tables = (path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    return sorted(path for path in tables if not path.name.endswith('settings.json'))


def _model_folder(folder: Path, model: str | None) -> Path:
    """Folder of the checkpoints: the given one, or the single model's folder below it."""
    model_folders = [path for path in sorted(folder.glob('*/')) if prediction_files(path)]
    if model is not None:
        matching = [path for path in model_folders if path.name == model]
        if not matching:
            raise UnknownNameError(
                expected=f'a model in {folder}: {listed([path.name for path in model_folders])}',
                came=repr(model),
                todo='name one of these with --model',
            )
        return matching[0]
    if prediction_files(folder) and not model_folders:
        return folder
    if len(model_folders) > 1 or (model_folders and prediction_files(folder)):
        raise TableError(
            expected=f'the checkpoints of one model in {folder}',
            came=f'{len(model_folders)} folders, {listed([path.name for path in model_folders])}',
            todo='name one with --model',
        )
    return model_folders[0] if model_folders else folder


def _checkpoints(folder: Path) -> dict[str, CheckpointFiles]:
    opensets: dict[str, Path] = {}
    sentiments: dict[str, Path] = {}
    descriptions: dict[str, Path] = {}
    for path in prediction_files(folder):
        stem = path.stem
        target = sentiments if stem.endswith('-sentiment') else opensets if stem.endswith('-openset') else descriptions
        key = stem.removesuffix('-sentiment').removesuffix('-openset')
        if key in target:
            raise TableError(
                expected=f'one file for checkpoint {key}', came=f'{target[key].name} and {path.name}', todo='keep one'
            )
        target[key] = path
    # Released descriptions come with the labels extracted from them; they are used only if there are no labels.
    names = sorted({*opensets, *sentiments, *descriptions}, key=_order)
    return {name: CheckpointFiles(opensets.get(name, descriptions.get(name)), sentiments.get(name)) for name in names}


def _order(checkpoint: str) -> tuple[float, str]:
    short = short_name(checkpoint)
    return (float(short) if short.isdecimal() else float('inf'), checkpoint)


def read_prediction(unibench_set: UniBenchSet, files: CheckpointFiles) -> Prediction:
    """The answers in a checkpoint's files.

    Raises:
        TableError: there are no labels, or a name is duplicated.
        ArchiveError: an archive is damaged.
    """
    openset: dict[str, Any] = {}
    sentiment: dict[str, str] | None = None
    is_extracted = False
    if files.openset:
        columns = read_columns(files.openset)
        is_extracted = 'how' in columns
        words_by_name = answers_by_name(columns, files.openset, NAMES, OPENSETS)
        words = by_name(columns, files.openset, NAMES, SENTIMENTS)
        if words_by_name is None and (words is None or unibench_set.task != 'sentiment'):
            raise TableError(
                expected=f'a column {" or ".join(OPENSETS[:-1])}',
                came=f'{files.openset} with {columns.seen()}',
                todo='read the labels out of the descriptions first, and write them as name,openset',
            )
        openset = words_by_name or {}
        sentiment = None if words is None else {name: str(word or '') for name, word in words.items()}
    if files.sentiment:
        columns = read_columns(files.sentiment)
        words = by_name(columns, files.sentiment, NAMES, (*SENTIMENTS, 'fileitems'))
        if words is None:
            raise TableError(
                expected='a column sentiment', came=f'{files.sentiment} with {columns.seen()}', todo='name it so'
            )
        sentiment = {name: str(word or '') for name, word in words.items()}
    return Prediction(openset, sentiment, is_extracted)


def require_no_strangers(truth: Mapping[str, Any], answers: Mapping[str, Any], what: str) -> None:
    """Check that every predicted sample is in the truth.

    Raises:
        TableError: some are not; the message names the first of them.
    """
    unknown = [name for name in answers if name not in truth]
    if unknown:
        raise TableError(
            expected=f'only the {len(truth)} samples of the truth in {what}',
            came=f'others too: {listed(unknown)}',
            todo='check that labels and predictions are of the same set and split',
        )


def choose_checkpoint(name: str, checkpoints: Sequence[str]) -> str:
    """The checkpoint with a name or number.

    Raises:
        UnknownNameError: there is none, or more than one.
    """
    names = {name, short_name(name)}
    matching = [key for key in checkpoints if key == name] or [key for key in checkpoints if short_name(key) in names]
    if len(matching) != 1:
        raise UnknownNameError(
            expected=f'one of {listed([short_name(key) for key in checkpoints], 12)}',
            came=repr(name),
            todo='name a checkpoint that every set has',
        )
    return matching[0]

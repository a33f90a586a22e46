"""MER-UniBench from models to scores: every set's clips to answers, answers to labels, labels to the published scores.

The input is a model, a folder of labels and a folder of clips; the output a folder with the answers of each set (a
table for `affekt bench unibench --predictions`), the scores, and `record.json` with everything they depend on. A set
without labels or clips is listed as absent. Several models also give `comparisons.csv` for `affekt rank`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from affekt.benchmarks import (
    NAMES,
    OPENSETS,
    UNIBENCH,
    Ranking,
    UniBench,
    UniBenchSet,
    derived_sentiment,
    find_labels,
    rank_systems,
    read_labels_of,
    run_unibench,
    set_named,
)
from affekt.corpora import Manifest, corpus_named, import_corpus, own_manifest
from affekt.describers.answers import answered, labels_of, restricted
from affekt.describers.classes import Accuracy, accuracy_of, columns_of, sample_scores, sign_scores
from affekt.describers.models import Answering, ClipAnswer, ModelChoice
from affekt.errors import CorpusError, TableError
from affekt.labels import WordTable, load_table
from affekt.llm import Extraction, LabelExtractor
from affekt.metrics import official_parse
from affekt.progress import Progress
from affekt.runs import hashes_of, record_beside, versions, write_atomically
from affekt.tables import ENDINGS, answers_by_name, csv_bytes, read_columns
from affekt.typed_json import json_file

PREDICTIONS, RECORD, ANSWERS = 'predictions', 'record.json', 'answers'
COLUMNS = ('name', 'openset', 'how', 'description', 'failure')


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model on the benchmark."""

    name: str
    outcome: UniBench
    record: Mapping[str, Any]
    """Everything the scores depend on."""
    accuracy: Mapping[str, Accuracy]
    """Set of basic emotions to accuracy."""
    samples: Mapping[str, Mapping[str, float]] = field(repr=False)
    """Set to sample to score, higher is better."""
    lengths: Mapping[str, Mapping[str, int]] = field(repr=False)
    """Set to sample to the length of the answer in characters."""
    counts: Mapping[str, Mapping[str, int]]
    """Set to the counts of answers by form, of answers without labels (`without_label`), and of failures."""
    folder: Path
    failures: Mapping[str, str] = field(default_factory=dict)
    """Set and clip without an answer to the reason."""
    without_sound: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Set to the same model's results without audio: its headline score, and the share of answers that change."""


@dataclass(frozen=True)
class ModelsBench:
    """Several models on MER-UniBench."""

    models: tuple[ModelScores, ...]
    ranking: Ranking | None
    """Ranking by score per sample over the sets that all have; None for one model."""
    compared: tuple[str, ...]
    """Keys of the sets that all models have."""
    comparisons: Path | None
    """Table for `affekt rank`; None for one model."""


def unibench_clips(unibench_set: UniBenchSet, media: Path, names: Sequence[str]) -> Manifest | None:
    """The clips of a set, in the order of its labels; None if the folder has none of the set.

    The search covers `<set>.parquet`, `<set>.csv` or another table with a column of names, and the set's release.

    Args:
        unibench_set: the set.
        media: folder of clips.
        names: samples that have a label.

    Raises:
        UnknownNameError: none of the names is among the clips.
        CorpusError, TableError: the clips cannot be read.
    """
    manifest = None
    if (media / f'{unibench_set.key}.parquet').is_file():
        manifest = Manifest.load(media / f'{unibench_set.key}.parquet')
    elif table := next((path for ending in ENDINGS if (path := media / f'{unibench_set.key}{ending}').is_file()), None):
        manifest = own_manifest(table, media / unibench_set.key if (media / unibench_set.key).is_dir() else media)
    else:
        corpus = corpus_named(unibench_set.importer or unibench_set.key)
        for folder in (
            unibench_set.folder,
            unibench_set.folder.removesuffix('-process'),
            unibench_set.key,
            unibench_set.name,
        ):
            if (media / folder).is_dir():
                manifest = import_corpus(corpus, media / folder)
                break
    if manifest is None:
        return None
    clips = restricted(manifest, names)
    transcripts = [getattr(row, unibench_set.said) or row.text for row in clips.samples]
    return clips.replaced(text=transcripts)


def limited_labels(labels: Path, folder: Path, count: int, sets: Collection[str] = ()) -> Path:
    """Write a folder with the first labels of every set, for a trial; partial sets do not count in means.

    Args:
        labels: folder of labels, see `run_unibench`.
        folder: folder to write.
        count: number of labels per set.
        sets: keys of the sets; all if empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for unibench_set in (unibench_set for unibench_set in UNIBENCH if not sets or unibench_set.key in sets):
        path = find_labels(unibench_set, labels)
        if path is None:
            continue
        truth = list(read_labels_of(unibench_set, path).items())[:count]
        header = {'fine-grained': 'openset', 'basic': 'label', 'sentiment': 'sentiment'}[unibench_set.task]
        rows = [{'name': name, header: str(value)} for name, value in truth]
        write_atomically(folder / f'{unibench_set.key}.csv', csv_bytes(('name', header), rows))
    return folder


def answer_sets(
    model: Answering,
    folder: Path,
    *,
    labels: Path,
    media: Path,
    sets: Collection[str] = (),
    extractor: LabelExtractor,
    at_once: int = 1,
    resume: bool = True,
    withheld: str = '',
    progress: Progress | None = None,
) -> dict[str, str]:
    """Have a model answer every set that has labels and clips, and write its labels as a folder of predictions.

    Args:
        model: the model.
        folder: folder of the model, for `predictions/<set>/answers.csv`, `answers/<set>/` and `record.json`.
        labels: folder of labels, see `run_unibench`.
        media: folder of clips, see `unibench_clips`.
        sets: keys of the sets; all if empty.
        extractor: extracts labels from an answer.
        at_once: answers processed concurrently.
        resume: continue in a folder with answers.
        withheld: a modality to withhold from the model: audio, video or text.
        progress: called with the set, units done and total units.

    Returns:
        Set to the reason why it was not answered.

    Raises:
        CorpusError: no set has labels and clips.
        LLMError, RunError: see `answered`.
    """
    absent: dict[str, str] = {}
    done = 0
    for unibench_set in (unibench_set for unibench_set in UNIBENCH if not sets or unibench_set.key in sets):
        path = find_labels(unibench_set, labels)
        if path is None:
            absent[unibench_set.key] = f'no labels; {unibench_set.source}'
            continue
        names = list(read_labels_of(unibench_set, path))
        clips = unibench_clips(unibench_set, media, names)
        if clips is None:
            absent[unibench_set.key] = (
                f'no clips: {unibench_set.key}.parquet, {unibench_set.key}.csv or {unibench_set.folder} in {media}'
            )
            continue
        if withheld:
            clips = clips.replaced(missing=[withheld] * len(clips))
        set_progress = _stage(progress, unibench_set.name)
        answers = list(
            answered(model, clips, folder / ANSWERS / unibench_set.key, resume=resume, progress=set_progress)
        )
        extractions = labels_of(
            answers, extractor, at_once=at_once, progress=_stage(progress, f'{unibench_set.name} labels')
        )
        _write_answers(folder / PREDICTIONS / unibench_set.key / f'{ANSWERS}.csv', answers, extractions)
        done += 1
    if not done:
        raise CorpusError(
            expected=f'labels in {labels} and clips in {media} of one set at least',
            came='; '.join(f'{key}: {why}' for key, why in list(absent.items())[:3]),
            todo='put <set>.parquet or <set>.csv (name, text, file) into the folder of clips',
        )
    record = {**model.record(), 'label_reader': extractor.name, 'withheld': withheld}
    write_atomically(folder / RECORD, json_file(record))
    return absent


def _stage(progress: Progress | None, name: str) -> Progress | None:
    """Progress under the name of a set."""
    return None if progress is None else lambda _, done, total: progress(name, done, total)


def _write_answers(path: Path, answers: Sequence[ClipAnswer], extractions: Sequence[Extraction]) -> None:
    rows = [
        {'name': answer.name, 'openset': extraction.openset, 'how': extraction.how, 'description': answer.text,
         'failure': answer.failure}
        for answer, extraction in zip(answers, extractions, strict=True)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, csv_bytes(COLUMNS, rows))


def scored_model(
    choice: ModelChoice,
    folder: Path,
    labels: Path,
    *,
    rng: np.random.Generator,
    table: WordTable,
    sets: Collection[str] = (),
    resamples: int = 1000,
    progress: Progress | None = None,
) -> ModelScores:
    """The scores of a model from the predictions in its folder, or, for a choice of predictions, at their path.

    Args:
        choice: the model.
        folder: folder of the model, as `answer_sets` wrote it.
        labels, rng, table, sets, resamples, progress: see `run_unibench`.

    Raises:
        TableError: see `run_unibench`.
    """
    predictions = Path(choice.where) if choice.form == 'predictions' else folder / PREDICTIONS
    outcome = run_unibench(predictions, labels, rng=rng, table=table, sets=sets, resamples=resamples, progress=progress)
    record = dict(record_beside(predictions) or {'predictions': str(predictions), 'versions': versions()})
    record |= {'word_table_of_scores': table.label, 'inputs': hashes_of(outcome.inputs)}
    accuracy: dict[str, Accuracy] = {}
    samples: dict[str, dict[str, float]] = {}
    lengths: dict[str, dict[str, int]] = {}
    counts: dict[str, dict[str, int]] = {}
    failures: dict[str, str] = {}
    for key in outcome.results:
        unibench_set = set_named(key)
        truth = read_labels_of(unibench_set, _required(find_labels(unibench_set, labels)))
        path = _answer_file(outcome, key)
        columns = read_columns(path)
        openset = answers_by_name(columns, path, NAMES, OPENSETS) or {}
        texts = answers_by_name(columns, path, NAMES, ('description', *OPENSETS)) or {}
        lengths[key] = {name: len(str(text or '')) for name, text in texts.items()}
        forms, reasons = (answers_by_name(columns, path, NAMES, (column,)) or {} for column in ('how', 'failure'))
        failed = {name: str(reason) for name, reason in reasons.items() if reason}
        failures |= {f'{key} {name}': reason for name, reason in failed.items()}
        counts[key] = _counts(map(str, forms.values()), openset, failed)
        if unibench_set.task == 'sentiment':
            samples[key] = sign_scores(truth, derived_sentiment(openset, load_table('affekt')))
            continue
        samples[key] = sample_scores(unibench_set, truth, openset, table)
        if unibench_set.task == 'basic':
            accuracy[key] = accuracy_of(unibench_set, truth, openset, table)
    return ModelScores(choice.name, outcome, record, accuracy, samples, lengths, counts, folder, failures)


def _required(path: Path | None) -> Path:
    if path is None:
        raise TableError(expected='labels', came='none', todo='do not change the folder of labels during a run')
    return path


def _answer_file(outcome: UniBench, key: str) -> Path:
    """The file with the answers on a set of the checkpoint chosen for it."""
    checkpoint = outcome.rows[0].checkpoints[key]
    candidates = [path for path in outcome.inputs if path.stem.removesuffix('-openset') == checkpoint]
    of_set = [path for path in candidates if any(_is_of(part, key) for part in path.parts)]
    return (of_set or candidates or list(outcome.inputs))[0]


def _is_of(part: str, key: str) -> bool:
    unibench_set = set_named(key)
    return part.lower().removeprefix('results-') in (unibench_set.key, unibench_set.name.lower(), *unibench_set.also)


def _counts(forms: Iterable[str], openset: Mapping[str, Any], failed: Collection[str]) -> dict[str, int]:
    """Numbers of answers by form, of answers without labels, failed ones excepted, and of failed ones."""
    by_form = Counter(forms)
    unlabelled = sum(not official_parse(answer) for name, answer in openset.items() if name not in failed)
    return {form: by_form[form] for form in sorted(by_form)} | {'without_label': unlabelled, 'failed': len(failed)}


def compare_models(
    models: Sequence[ModelScores], out: Path, *, rng: np.random.Generator, resamples: int = 2000
) -> ModelsBench:
    """Compare several models: ranked by score per sample, and as comparisons for `affekt rank`.

    Args:
        models: models scored on the same labels.
        out: folder for `comparisons.csv`.
        rng: draws resamples and permutations.
        resamples: number of resamples.
    """
    shared = [key for key in models[0].samples if all(key in model.samples for model in models)]
    if len(models) < 2 or not shared:
        return ModelsBench(tuple(models), None, tuple(shared), None)
    names = {
        key: [name for name in models[0].samples[key] if all(name in model.samples[key] for model in models)]
        for key in shared
    }
    columns = {
        model.name: np.concatenate([columns_of(model.samples[key], names[key]) for key in shared]) for model in models
    }
    groups = np.array([f'{key} {set_named(key).group(name)}' for key in shared for name in names[key]])
    ranking = rank_systems(
        columns, dict.fromkeys(columns, lambda sums: sums[:, 1] / sums[:, 0]), rng=rng, resamples=resamples,
        groups=groups,
    )  # fmt: skip
    path = out / 'comparisons.csv'
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, csv_bytes(COMPARED, _compared(models, names)))
    return ModelsBench(tuple(models), ranking, tuple(shared), path)


COMPARED = ('left', 'right', 'outcome', 'sample', 'rater', 'order', 'left_length', 'right_length')


def _compared(models: Sequence[ModelScores], names: Mapping[str, Sequence[str]]) -> list[dict[str, object]]:
    """A row for each sample and pair of models: the better score wins, with the lengths of both answers.

    No side was shown first, so `order` is empty.
    """
    rows: list[dict[str, object]] = []
    for key, samples in names.items():
        for name in samples:
            for left, right in combinations(models, 2):
                gap = left.samples[key][name] - right.samples[key][name]
                rows.append({
                    'left': left.name, 'right': right.name,
                    'outcome': 'tie' if abs(gap) < 1e-9 else 'left' if gap > 0 else 'right',
                    'sample': f'{key} {name}', 'rater': f'truth of {key}', 'order': '',
                    'left_length': left.lengths[key].get(name, 0), 'right_length': right.lengths[key].get(name, 0),
                })  # fmt: skip
    return rows

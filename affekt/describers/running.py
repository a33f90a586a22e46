"""From models to their scores on MER-UniBench in one call that resumes where it was interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from affekt.benchmarks import set_named
from affekt.describers.models import Answering, ModelChoice
from affekt.describers.unibench import (
    ANSWERS,
    PREDICTIONS,
    ModelsBench,
    ModelScores,
    answer_sets,
    compare_models,
    scored_model,
)
from affekt.errors import ValueRangeError
from affekt.labels import WordTable, load_table
from affekt.llm import LabelExtractor
from affekt.progress import Progress
from affekt.tables import by_name, read_columns

Open = Callable[[ModelChoice, Path], AbstractContextManager[Answering]]
WITHOUT_SOUND = 'without_sound'


def bench_models(
    choices: Sequence[ModelChoice],
    out: Path,
    *,
    labels: Path,
    media: Path | None,
    open_model: Open,
    extractor: LabelExtractor,
    rng: np.random.Generator,
    table: WordTable | str | Path = '2025',
    sets: Collection[str] = (),
    at_once: int = 1,
    check_sound: bool = False,
    resamples: int = 1000,
    progress: Progress | None = None,
) -> tuple[ModelsBench, dict[str, dict[str, str]]]:
    """Ask every model about every set, score all, and compare them.

    Args:
        choices: the models.
        out: folder of the run; one below it for each model.
        labels: folder of labels, see `run_unibench`.
        media: folder of clips, see `unibench_clips`; None if all choices are predictions.
        open_model: opens a model that answers; see `opened`.
        extractor: extracts labels from answers.
        rng: draws resamples and permutations.
        table: a word table, its name, or a folder of official files.
        sets: names of the sets; all if empty.
        at_once: answers processed concurrently.
        check_sound: whether to have each model answer again without audio.
        resamples: number of resamples for each interval.
        progress: called with the stage, units done and total units.

    Returns:
        The outcome, and model to absent set to the reason.

    Raises:
        ValueRangeError: a model needs clips and no folder is named, or a choice is a table.
        AffektError: see `answer_sets`, `scored_model` and `opened`.
    """
    keys = [set_named(name).key for name in sets]
    table = table if isinstance(table, WordTable) else load_table(table)
    models: list[ModelScores] = []
    absent: dict[str, dict[str, str]] = {}
    if tables := [choice for choice in choices if choice.form == 'table']:
        raise ValueRangeError(
            expected='models that can be asked about the clips of each set, or folders of predictions',
            came=f'{tables[0].where}, a table',
            todo='put it into a folder as <set>/answers.csv, and name that folder',
        )
    for choice in choices:
        folder = out / choice.name

        def scored(place: Path, choice: ModelChoice = choice) -> ModelScores:
            return scored_model(
                choice, place, labels, rng=rng, table=table, sets=keys, resamples=resamples, progress=progress
            )

        if choice.form == 'predictions':
            models.append(scored(folder))
            absent[choice.name] = dict(models[-1].outcome.absent)
            continue
        if media is None:
            raise ValueRangeError(
                expected=f'a folder of clips for {choice.name}', came='none', todo='name it with --media'
            )
        with open_model(choice, folder) as model:
            options: dict[str, Any] = {
                'labels': labels, 'media': media, 'sets': keys, 'extractor': extractor, 'at_once': at_once,
                'progress': progress,
            }  # fmt: skip
            absent[choice.name] = answer_sets(model, folder, **options)
            if check_sound:
                answer_sets(model, folder / WITHOUT_SOUND, withheld='audio', **options)
        scores = scored(folder)
        if check_sound:
            scores = dataclasses.replace(scores, without_sound=_compared(scores, scored(folder / WITHOUT_SOUND)))
        models.append(scores)
    return compare_models(models, out, rng=rng, resamples=resamples), absent


def _compared(with_sound: ModelScores, without_sound: ModelScores) -> Mapping[str, Mapping[str, float]]:
    """Set to the headline score without audio, and the share of answers that differ."""
    comparison = {}
    for key, score in without_sound.outcome.rows[0].scores.items():
        texts = [_texts(model.folder / PREDICTIONS / key / f'{ANSWERS}.csv') for model in (with_sound, without_sound)]
        changed = [texts[0][name] != texts[1].get(name) for name in texts[0]]
        comparison[key] = {'headline': score, 'changed': float(np.mean(changed))}
    return comparison


def _texts(path: Path) -> dict[str, str]:
    texts = by_name(read_columns(path), path, ('name',), ('description',)) or {}
    return {name: str(text or '').strip() for name, text in texts.items()}

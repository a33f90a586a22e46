"""The outcome of fine-tuning as plain tables, Markdown, values for JSON, and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affekt.benchmarks.finetuning import FROZEN, LINEAR, TUNED, Finetuning
from affekt.experiments import (
    Section,
    Sheet,
    broken_runs,
    gain_cells,
    outcome_facts,
    save_outcome,
    score_cells,
    sheet_markdown,
)
from affekt.wording import counted

HOW = {
    'constant': 'the most frequent category, or the mean value, of train',
    LINEAR: 'one layer on the frozen vectors',
    FROZEN: "the fine-tuned model's head on the frozen vectors",
    TUNED: 'the same head, trained together with the encoder',
}
"""Model to its description in the notes of the tables."""


def finetuning_sheet(outcome: Finetuning) -> Sheet:
    """Title, tables of each test part, and notes."""
    return Sheet(_title(outcome), tuple(_sections(outcome)), tuple(_lines(outcome)))


def finetuning_markdown(outcome: Finetuning) -> str:
    """The sheet as Markdown."""
    return sheet_markdown(finetuning_sheet(outcome))


def finetuning_facts(outcome: Finetuning) -> dict[str, Any]:
    """All fields of the outcome as plain values; None if undefined."""
    task = outcome.task
    return outcome_facts('MERBench, fine-tuning', task, outcome.settings, outcome.encoder, outcome.rows, task.notes)


def save_finetuning(folder: Path, outcome: Finetuning, facts: dict[str, Any]) -> None:
    """Write `finetuning.json`, `finetuning.md` and `predictions.parquet` into the folder of a run.

    Raises:
        StorageError: the folder cannot be written.
    """
    save_outcome(folder, 'finetuning', outcome.task, outcome.rows, facts, {'md': finetuning_markdown(outcome)})


def _title(outcome: Finetuning) -> str:
    encoder = outcome.encoder
    size = f'{encoder["parameters"] / 1e6:.1f} million parameters'
    return f'{outcome.task.manifest.facts.corpus}: {encoder["name"]} ({encoder["kind"]}, {size}) fine-tuned'


def _sections(outcome: Finetuning) -> list[Section]:
    """Scores of each test part, and gains of each model over the simpler ones."""
    has_several_tests, tables = len(outcome.task.tests) > 1, []
    for test in outcome.task.tests:
        rows = tuple(row for row in outcome.rows if row.test == test)
        prefix = f'{test}: ' if has_several_tests else ''
        scores = tuple((row.system.name, *score_cells(row)) for row in rows)
        tables.append(Section(f'{prefix}{rows[0].headline}', ('model', 'mean [95 %]', 'sd'), scores, 1, rows))
        gains = tuple(
            (row.system.name, name, *gain_cells(row.gain(name)))
            for row in rows
            for name in (FROZEN, LINEAR)
            if row.gain(name) is not None
        )
        if gains:
            tables.append(
                Section(f'{prefix}Gains over simpler models', ('model', 'over', 'gain [95 %]', 'p'), gains, 2)
            )
    return tables


def _lines(outcome: Finetuning) -> list[str]:
    settings = outcome.settings
    rates = ', '.join(f'{rate:g}' for rate in settings.learning_rates)
    return [
        *(f'{name}: {description}' for name, description in HOW.items()),
        f'in per cent; settings and epoch chosen on validation alone; seeds: {settings.seeds}',
        f'fine-tuned: rates {rates}, the encoder at {settings.backbone_share:g} of them; draws: {settings.trials}; '
        f'{counted(settings.epochs, "epoch")} at most, patience {settings.patience}, {settings.precision}',
        f'on frozen vectors: draws of each model: {settings.frozen_trials}; '
        f'{counted(settings.frozen_epochs, "epoch")} at most, patience {settings.frozen_patience}',
        'intervals and tests draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples; p after Holm over '
        f'{counted(sum(len(row.gains) for row in outcome.rows), "test")}',
        *broken_runs(outcome.rows), *outcome.task.notes,
    ]  # fmt: skip

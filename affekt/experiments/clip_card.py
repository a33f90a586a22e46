"""The model card of a fine-tuned model: its origin, its clips and its scores, beside those of a constant answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affekt.experiments.clip_parts import ClipParts, described_parts
from affekt.metrics import Interval
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.pretraining import TunedModel, TuningSettings

TITLES = {
    'balanced_accuracy': 'UAR', 'accuracy': 'WAR', 'weighted_f1': 'weighted F1', 'concordance': 'CCC',
    'pearson': 'PCC', 'mae': 'MAE',
}  # fmt: skip
"""Name of each score that is shown, as in `Measure`, to its title."""


@dataclass(frozen=True)
class ScoreRow:
    """One score of a part of the clips, beside the score of the constant answer."""

    part: str
    about: str
    """Name of the predicted dimension, such as `valence`; '' for classes."""
    name: str
    interval: Interval
    baseline: float

    @property
    def title(self) -> str:
        """Title of the score in tables."""
        return f'{self.about} {TITLES[self.name]}'.strip()


@dataclass(frozen=True)
class FinetunedClips:
    """A finished fine-tuning run."""

    model: TunedModel = field(repr=False)
    folder: Path
    parts: ClipParts = field(repr=False)
    rows: tuple[ScoreRow, ...]
    history: tuple[Mapping[str, float], ...] = field(repr=False)
    epoch: int
    notes: tuple[str, ...]
    settings: TuningSettings = field(repr=False)


def tuned_card(outcome: FinetunedClips, saved: Mapping[str, Any]) -> str:
    """The model card as Markdown: origin, data and scores."""
    parts, form = outcome.parts, outcome.model.form
    answers = ', '.join(parts.names)
    pictures = f'; {counted(form.frames, "frame")} of {form.size} pixels' if 'video' in form.modalities else ''
    weights = sum(parameter.numel() for parameter in outcome.model.model.parameters())
    summary = [
        ('from', f'{saved["from"]["name"]}, sha256 {saved["from"]["sha256"][:16]}…'),
        ('reads', ' and '.join(form.modalities) + pictures),
        ('answers', f'{"one of " if parts.classes else ""}{answers}'),
        ('parameters', f'{weights:,}'),
        ('tuned', _tuning_text(outcome.settings, outcome.epoch)),
        ('corpus', parts.manifest.facts.corpus),
    ]
    lines = [f'# {outcome.folder.name}', '', '| | |', '|---|---|']
    lines += [f'| {name} | {_cell(text)} |' for name, text in summary]
    lines += ['', '## Data', '', '| part | clips | groups | chosen by |', '|---|---|---|---|']
    lines += [
        f'| {name} | {clips:,} | {groups:,} | {_cell(rule)} |'
        for name, clips, groups, rule in described_parts(parts, parts.manifest.groups())
    ]
    lines += ['', '## Scores', '', '| part | score | [95 %] | constant answer |', '|---|---|---|---|']
    lines += [f'| {row.part} | {row.title} | {row.interval} | {row.baseline:z.3f} |' for row in outcome.rows]
    lines += ['', *score_notes(outcome)]
    return '\n'.join(lines) + '\n'


def score_notes(outcome: FinetunedClips) -> list[str]:
    """Notes on how to read the scores, one bullet per sentence."""
    lines = ['Intervals draw whole groups: speakers where they are known, else what stands in for them.']
    lines.append('The constant answer is the most frequent class, or the mean, of the training clips.')
    if any(math.isnan(row.interval.low) for row in outcome.rows):
        lines.append('Where a part has one group alone, nothing can be said of how its scores vary.')
    is_linear = outcome.settings.method == 'linear'
    if 'validation' in outcome.parts.parts and (is_linear or not outcome.settings.takes_last):
        choice = 'how strongly the head is held back' if is_linear else 'the epoch'
        lines.append(f'Validation chose {choice}, so its scores are somewhat too high.')
    if 'test' not in outcome.parts.parts:
        lines.append('No clips were set aside for a test.')
    return [f'- {line}' for line in (*lines, *outcome.notes)]


def _tuning_text(settings: TuningSettings, epoch: int) -> str:
    if settings.method == 'linear':
        return 'the head alone (linear probe)'
    trained_weights = f'adapters of rank {settings.rank}' if settings.method == 'lora' else 'all weights'
    choice = 'the last' if settings.takes_last else 'the best on validation'
    return f'{trained_weights}, epoch {epoch} of {settings.epochs} at most, {choice}; seed {settings.seed}'


def _cell(text: str) -> str:
    return ' '.join(str(text).split()).replace('|', '\\|').replace('<', '&lt;')

"""What every benchmark that trains shares: a task, its folds, trials, finished runs, scored rows, tables and a page.

A manifest and features come in as a `Task`, divided into `Fold`s; each trained model is a `Trial`, whose answers are
saved once the run is complete; an `Outcome` of systems with intervals and paired tests goes out. Read `task.py` first,
then `folds.py`, `trial.py`, `fitting.py` (needs torch) and `scored.py`; `describers.py` trains a describer from a
manifest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affekt.experiments.clip_card import FinetunedClips, score_notes
from affekt.experiments.clip_parts import ClipParts, divided_clips
from affekt.experiments.clip_tuning import finetune_clips
from affekt.experiments.cross_corpus import Part, how_made
from affekt.experiments.finished_runs import FinishedRuns
from affekt.experiments.fitting import fair_run, outputs_of, reference_run, task_samples
from affekt.experiments.folds import Divisions, Fold, divided, held_out
from affekt.experiments.notes import group_notes, task_notes
from affekt.experiments.page import plain_sheet_page, sheet_page
from affekt.experiments.saving import outcome_facts, save_outcome
from affekt.experiments.scored import (
    ORACLE,
    Gain,
    Outcome,
    Row,
    System,
    mean_over_seeds,
    over_seeds,
    run_facts,
    scored_rows,
)
from affekt.experiments.settings import SIMPLE, ExperimentSettings, drawn, slot_of
from affekt.experiments.tables import (
    Section,
    Sheet,
    broken_runs,
    gain_cells,
    initials,
    named,
    score_cells,
    sheet_markdown,
    signed_percent,
)
from affekt.experiments.task import Task, feat_type_of, open_part, open_stores, open_task, require_variety
from affekt.experiments.trial import Answers, Outputs, Trial, constant_outputs
from affekt.moved_names import moved

if TYPE_CHECKING:
    from affekt.experiments.describer_forms import DescriberForm
    from affekt.experiments.describers import (
        LearntDescriber,
        Rewarding,
        WrittenAnswers,
        learn_describer,
        named_stores,
        split_clips,
    )
else:
    _OF_DESCRIBERS = (
        'LearntDescriber', 'Rewarding', 'WrittenAnswers', 'learn_describer', 'named_stores', 'split_clips',
    )  # fmt: skip
    _moved = moved(__name__)

    def __getattr__(name: str) -> Any:
        """Import names that need torch on first access."""
        if name == 'DescriberForm':
            return import_module('affekt.experiments.describer_forms').DescriberForm
        if name in _OF_DESCRIBERS:
            return getattr(import_module('affekt.experiments.describers'), name)
        return _moved(name)


__all__ = [
    'ORACLE', 'SIMPLE', 'Answers', 'ClipParts', 'DescriberForm', 'Divisions', 'ExperimentSettings',
    'FinetunedClips', 'FinishedRuns', 'Fold', 'Gain', 'LearntDescriber', 'Outcome', 'Outputs',
    'Part', 'Rewarding', 'Row', 'Section', 'Sheet', 'System', 'Task', 'Trial', 'WrittenAnswers',
    'broken_runs', 'constant_outputs', 'divided', 'divided_clips', 'drawn', 'fair_run', 'feat_type_of',
    'finetune_clips', 'gain_cells', 'group_notes', 'held_out', 'how_made', 'initials', 'learn_describer',
    'mean_over_seeds', 'named', 'named_stores', 'open_part', 'open_stores', 'open_task', 'outcome_facts',
    'outputs_of', 'over_seeds', 'plain_sheet_page', 'reference_run', 'require_variety', 'run_facts', 'save_outcome',
    'score_cells', 'score_notes', 'scored_rows', 'sheet_markdown', 'sheet_page', 'signed_percent', 'slot_of',
    'split_clips', 'task_notes', 'task_samples',
]  # fmt: skip

"""Published benchmarks: exact scores of your predictions, with intervals, baselines and the choice of checkpoint.

The input is folders of predictions and labels, the output an outcome with every set, checkpoint, interval and baseline,
compared with the scores that the papers report. Read `unibench.py` first, then `selection.py` and `ovmer.py`.
`merbench.py` trains fusion models on your features, fairly and as published, `finetuning.py` trains an encoder itself,
`dfer.py` fine-tunes encoders of faces and voices fold by fold, and `abaw.py` trains frame-level models; all state what
is trained and by which protocol, and are built on `affekt.experiments`.
"""

from typing import TYPE_CHECKING

from affekt.benchmarks.abaw import Abaw, Unlabelled, require_trainable, run_abaw
from affekt.benchmarks.abaw_inputs import MADE_UP_FEATURES, AbawInputs, abaw_inputs, made_up_inputs, unlabelled_inputs
from affekt.benchmarks.abaw_scores import AbawRow, AbawSettings
from affekt.benchmarks.abaw_tables import abaw_facts, abaw_sheet, save_abaw
from affekt.benchmarks.candidates import (
    Candidate,
    ClipSource,
    baseline_stores,
    clip_sources,
    corpus_clips,
    dfer_candidates,
    modalities_of,
    narrowed_form,
    pretrained,
    scratch,
)
from affekt.benchmarks.comparisons import Ranking, rank_systems
from affekt.benchmarks.dfer import Dfer, run_dfer
from affekt.benchmarks.dfer_tables import dfer_facts, dfer_sheet, save_dfer
from affekt.benchmarks.dfer_task import DferSettings, open_dfer
from affekt.benchmarks.facts import ovmer_facts, save_outcome, unibench_facts
from affekt.benchmarks.finetuning import Finetuning, run_finetuning
from affekt.benchmarks.finetuning_settings import FinetuningSettings, rates_of
from affekt.benchmarks.finetuning_tables import finetuning_facts, finetuning_sheet, save_finetuning
from affekt.benchmarks.measures import derived_sentiment
from affekt.benchmarks.merbench import MerbenchSettings, run_merbench
from affekt.benchmarks.merbench_tables import merbench_facts, merbench_sheet, save_merbench
from affekt.benchmarks.ovmer import PAPER_MODE, Ovmer, run_ovmer
from affekt.benchmarks.predictions import OPENSETS, short_name
from affekt.benchmarks.published import published, published_dfer
from affekt.benchmarks.sets import NAMES, UNIBENCH, UniBenchSet, find_labels, read_labels_of, set_named
from affekt.benchmarks.unibench import CONSTANTS, UniBench, rivals, run_unibench
from affekt.experiments import Outcome as Merbench
from affekt.moved_names import moved

if not TYPE_CHECKING:
    __getattr__ = moved(__name__)

__all__ = [
    'CONSTANTS', 'MADE_UP_FEATURES', 'NAMES', 'OPENSETS', 'PAPER_MODE', 'UNIBENCH', 'Abaw', 'AbawInputs', 'AbawRow',
    'AbawSettings',
    'Candidate', 'ClipSource', 'Dfer', 'DferSettings', 'Finetuning', 'FinetuningSettings', 'Merbench',
    'MerbenchSettings', 'Ovmer', 'Ranking', 'UniBench', 'UniBenchSet', 'Unlabelled', 'abaw_facts', 'abaw_inputs',
    'abaw_sheet', 'baseline_stores', 'clip_sources', 'corpus_clips', 'derived_sentiment', 'dfer_candidates',
    'dfer_facts', 'dfer_sheet', 'find_labels', 'finetuning_facts', 'finetuning_sheet', 'made_up_inputs',
    'merbench_facts', 'merbench_sheet', 'modalities_of', 'narrowed_form', 'open_dfer', 'ovmer_facts', 'pretrained',
    'published', 'published_dfer', 'rank_systems', 'rates_of', 'read_labels_of', 'require_trainable', 'rivals',
    'run_abaw', 'run_dfer', 'run_finetuning', 'run_merbench', 'run_ovmer', 'run_unibench', 'save_abaw', 'save_dfer',
    'save_finetuning', 'save_merbench', 'save_outcome', 'scratch', 'set_named', 'short_name', 'unibench_facts',
    'unlabelled_inputs',
]  # fmt: skip

"""Models that describe clips: their answers, labels and scores, and a leaderboard that shows its possible biases.

The input is models (folders, servers, tables of answers) and clips; the output is answers, each requested once and
stored, their labels, and their scores with everything that these depend on. Read `models.py` first (which models, and
how they are asked), then `answers.py` (answers on disk) and `unibench.py` (MER-UniBench in one run, several models
compared). `board.py` joins benchmarks, open labels, verdicts and preference on one page.
"""

from affekt.describers.answers import answered, labels_of, restricted
from affekt.describers.board import Board, Sources, clips_of, compare_describers
from affekt.describers.board_page import board_page
from affekt.describers.board_tables import board_facts, board_sheet
from affekt.describers.classes import Accuracy, Classes, accuracy_of, sample_scores
from affekt.describers.clip_files import ClipFiles
from affekt.describers.models import (
    Answering,
    ClipAnswer,
    LocalDescriber,
    ModelChoice,
    ServedDescriber,
    content_digest,
    model_choices,
    opened,
)
from affekt.describers.running import bench_models
from affekt.describers.tables import bench_facts, bench_sheet
from affekt.describers.unibench import (
    ModelsBench,
    ModelScores,
    answer_sets,
    compare_models,
    limited_labels,
    scored_model,
    unibench_clips,
)

__all__ = [
    'Accuracy',
    'Answering',
    'Board',
    'Classes',
    'ClipAnswer',
    'ClipFiles',
    'LocalDescriber',
    'ModelChoice',
    'ModelScores',
    'ModelsBench',
    'ServedDescriber',
    'Sources',
    'accuracy_of',
    'answer_sets',
    'answered',
    'bench_facts',
    'bench_models',
    'bench_sheet',
    'board_facts',
    'board_page',
    'board_sheet',
    'clips_of',
    'compare_describers',
    'compare_models',
    'content_digest',
    'labels_of',
    'limited_labels',
    'model_choices',
    'opened',
    'restricted',
    'sample_scores',
    'scored_model',
    'unibench_clips',
]

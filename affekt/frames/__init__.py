"""Frame-level data of videos: annotations, features resampled to frames, smoothing.

Annotation files in the official layouts become `FrameLabels`, arrays with one row per frame; `shared.py` finds
recordings on both sides of a split. Features of any rate are resampled to the frame times and cut into windows, and
predictions of overlapping windows are merged again. Torch is not needed: the models for such windows are in
`affekt.sequence_models`.
"""

from affekt.frames.affwild2 import find_annotations, read_affwild2, read_multitask
from affekt.frames.annotations import Annotation, read_annotation, write_annotation
from affekt.frames.clocks import CLOCK_METHODS, ClockMethod, OnClock, frame_clock, neighbours, on_clock
from affekt.frames.faults import Faults
from affekt.frames.labels import (
    ACTION_UNITS,
    AFFECT,
    EXPRESSIONS,
    PARTITIONS,
    SIDES,
    TASK_NAMES,
    TASKS,
    FrameLabels,
    FrameTable,
    recording_and_side,
)
from affekt.frames.listed_frames import (
    ROW_FORMS,
    FrameList,
    ListedLabels,
    RowForm,
    is_listable,
    picture,
    read_frame_list,
    read_rows,
    written_rows,
)
from affekt.frames.shared import shared_by_task, shared_with_judged
from affekt.frames.sides import rows_of_person
from affekt.frames.smoothing import (
    NO_SMOOTHING,
    SMOOTHING_METHODS,
    OneEuro,
    Smoothing,
    SmoothingChoice,
    one_euro,
    smoothing_candidates,
    tuned_smoothing,
)
from affekt.frames.true_curves import STATES, TrueCurves, true_curves
from affekt.frames.units import UNIT_SHAPES, unit_amounts
from affekt.frames.windows import (
    OVERLAP_WEIGHTS,
    OverlapAverage,
    OverlapWeights,
    Window,
    overlap_average,
    overlap_weights,
    recording_of,
    require_disjoint,
    windows_over,
)

__all__ = [
    'ACTION_UNITS',
    'AFFECT',
    'CLOCK_METHODS',
    'EXPRESSIONS',
    'NO_SMOOTHING',
    'OVERLAP_WEIGHTS',
    'PARTITIONS',
    'ROW_FORMS',
    'SIDES',
    'SMOOTHING_METHODS',
    'STATES',
    'TASKS',
    'TASK_NAMES',
    'UNIT_SHAPES',
    'Annotation',
    'ClockMethod',
    'Faults',
    'FrameLabels',
    'FrameList',
    'FrameTable',
    'ListedLabels',
    'OnClock',
    'OneEuro',
    'OverlapAverage',
    'OverlapWeights',
    'RowForm',
    'Smoothing',
    'SmoothingChoice',
    'TrueCurves',
    'Window',
    'find_annotations',
    'frame_clock',
    'is_listable',
    'neighbours',
    'on_clock',
    'one_euro',
    'overlap_average',
    'overlap_weights',
    'picture',
    'read_affwild2',
    'read_annotation',
    'read_frame_list',
    'read_multitask',
    'read_rows',
    'recording_and_side',
    'recording_of',
    'require_disjoint',
    'rows_of_person',
    'shared_by_task',
    'shared_with_judged',
    'smoothing_candidates',
    'true_curves',
    'tuned_smoothing',
    'unit_amounts',
    'windows_over',
    'write_annotation',
    'written_rows',
]

"""What is said of each frame of a video: annotations by frame, features on the frames' clock, curves made steady.

Annotation files in the official layouts become `FrameLabels`, arrays with one row for every frame of a video. Features
of any clock are brought to the times of these frames, cut into windows, and predictions of overlapping windows are put
together again. Torch is not needed: the models that read such windows are in `affekt.sequence_models`.
"""

from affekt.frames.annotations import Annotation, read_annotation, write_annotation
from affekt.frames.faults import Faults
from affekt.frames.labels import (
    ACTION_UNITS,
    AFFECT,
    EXPRESSIONS,
    PARTITIONS,
    SIDES,
    TASKS,
    FrameLabels,
    FrameTable,
    recording_and_side,
)

__all__ = [
    'ACTION_UNITS',
    'AFFECT',
    'EXPRESSIONS',
    'PARTITIONS',
    'SIDES',
    'TASKS',
    'Annotation',
    'Faults',
    'FrameLabels',
    'FrameTable',
    'read_annotation',
    'recording_and_side',
    'write_annotation',
]

"""Tracks of the MER and ABAW challenges: writing, strict checking and scoring of submissions.

Predictions come in; a submission, its faults by line, and its score with an interval come out. Read `tracks.py` first,
then `submissions.py`; `training.py` trains a model for a track, with unlabelled clips. `prefer.py` is MER-Prefer,
`abaw.py` the frame-level tracks of ABAW.
"""

from affekt.challenges.abaw import frame_measure, read_frame_answers, read_frame_truth, score_frames, write_answers
from affekt.challenges.abaw_files import (
    FRAME_TRACKS,
    FrameSubmission,
    FrameTrack,
    check_frame_submission,
    frame_track_named,
    frames_to_answer,
    part_of,
    read_frame_submission,
    write_frame_submission,
)
from affekt.challenges.category_answers import ClosedSet
from affekt.challenges.inputs import TrackSettings
from affekt.challenges.prefer import (
    PreferScore,
    check_prefer_submission,
    read_preferences,
    score_prefer,
    write_prefer_submission,
)
from affekt.challenges.submissions import Submission, check_submission, read_candidates, write_submission
from affekt.challenges.tracks import TRACKS, Track, TrackScore, read_groups, score_track, track_named
from affekt.challenges.training import TrackAnswers, save_track, track_facts, train_track

__all__ = [
    'FRAME_TRACKS',
    'TRACKS',
    'ClosedSet',
    'FrameSubmission',
    'FrameTrack',
    'PreferScore',
    'Submission',
    'Track',
    'TrackAnswers',
    'TrackScore',
    'TrackSettings',
    'check_frame_submission',
    'check_prefer_submission',
    'check_submission',
    'frame_measure',
    'frame_track_named',
    'frames_to_answer',
    'part_of',
    'read_candidates',
    'read_frame_answers',
    'read_frame_submission',
    'read_frame_truth',
    'read_groups',
    'read_preferences',
    'save_track',
    'score_frames',
    'score_prefer',
    'score_track',
    'track_facts',
    'track_named',
    'train_track',
    'write_answers',
    'write_frame_submission',
    'write_prefer_submission',
    'write_submission',
]

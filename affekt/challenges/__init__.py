"""The tracks of the MER challenges: submissions written, checked as the challenge will read them, and scored.

Answers come in; a submission, its faults by line, and its score with an interval go out. Read `tracks.py` first, then
`submissions.py`; `training.py` trains a model for a track, with unlabelled clips, and `prefer.py` is MER-Prefer.
"""

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
    'TRACKS',
    'ClosedSet',
    'PreferScore',
    'Submission',
    'Track',
    'TrackAnswers',
    'TrackScore',
    'TrackSettings',
    'check_prefer_submission',
    'check_submission',
    'read_candidates',
    'read_groups',
    'read_preferences',
    'save_track',
    'score_prefer',
    'score_track',
    'track_facts',
    'track_named',
    'train_track',
    'write_prefer_submission',
    'write_submission',
]

"""Published benchmarks run on your predictions: their scores to the last digit, and what those scores leave out.

Folders of predictions and labels come in; an outcome with every set, checkpoint, interval and floor goes out, beside
the figures that the papers print. Read `unibench.py` first, then `selection.py` and `ovmer.py`; a challenge's
track is scored by `tracks.py`, its submission written and checked by `submissions.py`. `merbench.py` trains fusion
models on your features, fairly and as published; `finetuning.py` trains an encoder itself, `track_training.py` a model
for a track, with unlabelled clips.
"""

from affekt.benchmarks.closed import ClosedSet
from affekt.benchmarks.comparisons import Ranking, rank_systems
from affekt.benchmarks.finetuning import Finetuning, run_finetuning
from affekt.benchmarks.finetuning_settings import FinetuningSettings
from affekt.benchmarks.merbench import Merbench, run_merbench
from affekt.benchmarks.merbench_settings import MerbenchSettings
from affekt.benchmarks.ovmer import Ovmer, run_ovmer
from affekt.benchmarks.published import published
from affekt.benchmarks.sets import UNIBENCH, UniBenchSet
from affekt.benchmarks.submissions import Submission, check_submission, read_candidates, write_submission
from affekt.benchmarks.track_inputs import TrackSettings
from affekt.benchmarks.track_training import TrackAnswers, save_track, train_track
from affekt.benchmarks.tracks import TRACKS, Track, TrackScore, read_groups, score_track, track_named
from affekt.benchmarks.unibench import UniBench, run_unibench

__all__ = [
    'TRACKS',
    'UNIBENCH',
    'ClosedSet',
    'Finetuning',
    'FinetuningSettings',
    'Merbench',
    'MerbenchSettings',
    'Ovmer',
    'Ranking',
    'Submission',
    'Track',
    'TrackAnswers',
    'TrackScore',
    'TrackSettings',
    'UniBench',
    'UniBenchSet',
    'check_submission',
    'published',
    'rank_systems',
    'read_candidates',
    'read_groups',
    'run_finetuning',
    'run_merbench',
    'run_ovmer',
    'run_unibench',
    'save_track',
    'score_track',
    'track_named',
    'train_track',
    'write_submission',
]

"""Published benchmarks run on your predictions: their scores to the last digit, and what those scores leave out.

Folders of predictions and labels come in; an outcome with every set, checkpoint, interval and floor goes out, beside
the figures that the papers print. Read `unibench.py` first, then `selection.py` and `ovmer.py`; a challenge's
track is scored by `tracks.py`, its submission written and checked by `submissions.py`. `merbench.py` trains fusion
models on your features, fairly and as published; `finetuning.py` trains an encoder itself, `track_training.py` a model
for a track, with unlabelled clips.
"""

from typing import TYPE_CHECKING

from affekt.benchmarks.comparisons import Ranking, rank_systems
from affekt.benchmarks.finetuning import Finetuning, run_finetuning
from affekt.benchmarks.finetuning_settings import FinetuningSettings
from affekt.benchmarks.merbench import run_merbench
from affekt.benchmarks.ovmer import Ovmer, run_ovmer
from affekt.benchmarks.published import published
from affekt.benchmarks.sets import UNIBENCH, UniBenchSet
from affekt.benchmarks.unibench import UniBench, run_unibench
from affekt.experiments import Merbench, MerbenchSettings
from affekt.moved_names import moved

if not TYPE_CHECKING:
    __getattr__ = moved(__name__)

__all__ = [
    'UNIBENCH',
    'Finetuning',
    'FinetuningSettings',
    'Merbench',
    'MerbenchSettings',
    'Ovmer',
    'Ranking',
    'UniBench',
    'UniBenchSet',
    'published',
    'rank_systems',
    'run_finetuning',
    'run_merbench',
    'run_ovmer',
    'run_unibench',
]

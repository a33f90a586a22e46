"""Published benchmarks run on your predictions: their scores to the last digit, and what those scores leave out.

Folders of predictions and labels come in; an outcome with every set, checkpoint, interval and baseline goes out, beside
the figures that the papers print. Read `unibench.py` first, then `selection.py` and `ovmer.py`. `merbench.py` trains
fusion models on your features, fairly and as published, and `finetuning.py` trains an encoder itself; both say what is
trained and by which protocol, and stand on `affekt.experiments`.
"""

from typing import TYPE_CHECKING

from affekt.benchmarks.comparisons import Ranking, rank_systems
from affekt.benchmarks.finetuning import Finetuning, run_finetuning
from affekt.benchmarks.finetuning_settings import FinetuningSettings
from affekt.benchmarks.merbench import run_merbench
from affekt.benchmarks.merbench_settings import MerbenchSettings
from affekt.benchmarks.ovmer import Ovmer, run_ovmer
from affekt.benchmarks.published import published
from affekt.benchmarks.sets import UNIBENCH, UniBenchSet
from affekt.benchmarks.unibench import UniBench, run_unibench
from affekt.experiments import Outcome as Merbench
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

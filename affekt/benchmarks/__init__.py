"""Published benchmarks run on your predictions: their scores to the last digit, and what those scores leave out.

Folders of predictions and labels come in; an outcome with every set, checkpoint, interval and floor goes out, beside
the figures that the papers print. Read `unibench.py` first, then `selection.py` and `ovmer.py`; a challenge's
submission is written, checked and scored by `tracks.py`.
"""

from affekt.benchmarks.comparisons import Ranking, holm, rank_systems
from affekt.benchmarks.ovmer import Ovmer, run_ovmer
from affekt.benchmarks.published import published
from affekt.benchmarks.sets import UNIBENCH, UniBenchSet
from affekt.benchmarks.unibench import UniBench, run_unibench

__all__ = [
    'UNIBENCH',
    'Ovmer',
    'Ranking',
    'UniBench',
    'UniBenchSet',
    'holm',
    'published',
    'rank_systems',
    'run_ovmer',
    'run_unibench',
]

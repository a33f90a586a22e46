"""Leaderboards from paired comparisons: verdicts come in, strengths with intervals and ranks come out.

`read_comparisons` reads a file of verdicts, in any of `SHAPES`; `rank` turns it into strengths with intervals, ranks,
biases and the next pairs to compare; data that cannot be ranked is refused with the names of what is missing. Read
`leaderboard.py` first, then `bradley_terry.py` and `uncertainty.py`. It needs NumPy and SciPy only; Parquet files need
pyarrow. Which of two descriptions is preferred is for `affekt.preference`, models as judges for `affekt.judging`.
"""

from typing import TYPE_CHECKING

from affekt.moved_names import moved
from affekt.ranking.biases import Bias, biases
from affekt.ranking.bootstrap import Draws, bootstrap, percentile_intervals
from affekt.ranking.bradley_terry import Fit, fit
from affekt.ranking.comparisons import Comparisons, refuse_rows
from affekt.ranking.counts import Cells, count, win_matrix
from affekt.ranking.covariates import LENGTH, OWN, own_model, text_lengths
from affekt.ranking.diagnosis import Diagnosis, diagnose
from affekt.ranking.leaderboard import Ranking, RankSettings, Standing, rank, ranked_file
from affekt.ranking.names import alike, refuse_lookalikes, shown
from affekt.ranking.page import page_body, render_ranking
from affekt.ranking.ranks import Places, better, places, simultaneous_intervals
from affekt.ranking.rater_flags import JOINED, RaterRecord, rater_flags
from affekt.ranking.raters import CrowdFit, crowd_fit, rater_vote_share, ratings_of
from affekt.ranking.reading import comparison_table, read_comparisons
from affekt.ranking.references import elo, tallies, win_rates
from affekt.ranking.schedule import Pair, more_needed, next_pairs, pair_gains
from affekt.ranking.shapes import EMOPREFER_WORDS, ORDERS, PLAIN_WORDS, SHAPES, SKIP, Shape, as_word, shape_of_pairs
from affekt.ranking.simulation import Recovery, recover, simulate
from affekt.ranking.uncertainty import (
    Bounds,
    Spread,
    effect_contrasts,
    intervals,
    pair_contrasts,
    spread,
    strength_contrasts,
)

if not TYPE_CHECKING:
    __getattr__ = moved(__name__)

__all__ = [
    'EMOPREFER_WORDS',
    'JOINED',
    'LENGTH',
    'ORDERS',
    'OWN',
    'PLAIN_WORDS',
    'SHAPES',
    'SKIP',
    'Bias',
    'Bounds',
    'Cells',
    'Comparisons',
    'CrowdFit',
    'Diagnosis',
    'Draws',
    'Fit',
    'Pair',
    'Places',
    'RankSettings',
    'Ranking',
    'RaterRecord',
    'Recovery',
    'Shape',
    'Spread',
    'Standing',
    'alike',
    'as_word',
    'better',
    'biases',
    'bootstrap',
    'comparison_table',
    'count',
    'crowd_fit',
    'diagnose',
    'effect_contrasts',
    'elo',
    'fit',
    'intervals',
    'more_needed',
    'next_pairs',
    'own_model',
    'page_body',
    'pair_contrasts',
    'pair_gains',
    'percentile_intervals',
    'places',
    'rank',
    'ranked_file',
    'rater_flags',
    'rater_vote_share',
    'ratings_of',
    'read_comparisons',
    'recover',
    'refuse_lookalikes',
    'refuse_rows',
    'render_ranking',
    'shape_of_pairs',
    'shown',
    'simulate',
    'simultaneous_intervals',
    'spread',
    'strength_contrasts',
    'tallies',
    'text_lengths',
    'win_matrix',
    'win_rates',
]

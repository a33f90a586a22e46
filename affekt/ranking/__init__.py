"""Who is better, from who beat whom: comparisons come in, a leaderboard that can be trusted comes out.

Which of two descriptions is preferred, and whether a model can tell, begins in `preference.py`.
`read_comparisons` reads a file of verdicts, `rank` turns it into strengths with intervals, places, biases and what to
ask next; data that cannot be ranked is refused with the names of what is missing. Read `leaderboard.py` first, then
`bradley_terry.py` and `uncertainty.py`. `judge.py` has comparisons made by a model. NumPy and SciPy are all it needs;
Parquet files need pyarrow, and clips what `media` needs.
"""

from affekt.ranking.agreement import (
    alpha_interval,
    cohen_kappa,
    kendall,
    krippendorff_alpha,
    rank_biased_overlap,
    ratings_of,
    spearman,
)
from affekt.ranking.biases import Bias, biases
from affekt.ranking.bootstrap import Draws, bootstrap, percentile_intervals
from affekt.ranking.bradley_terry import Fit, fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import Cells, count, win_matrix
from affekt.ranking.described import Described, read_described
from affekt.ranking.diagnosis import Diagnosis, diagnose
from affekt.ranking.judge import Answer, DescribedPair, Judge, Judgement, Judgements, Verdict, judge_pairs
from affekt.ranking.judge_agreement import Agreement, agreement_with_people, reference_agreements
from affekt.ranking.judge_answers import official_verdict, read_verdict
from affekt.ranking.judge_files import judge_descriptions
from affekt.ranking.judge_media import ClipLimits
from affekt.ranking.judge_report import JudgeReport, ModelUse, Price, report_on
from affekt.ranking.judge_strategies import Panel
from affekt.ranking.language_judge import LanguageModelJudge
from affekt.ranking.leaderboard import Ranking, RankSettings, Standing, rank
from affekt.ranking.pairs import Pairs, read_pairs
from affekt.ranking.plain_judges import (
    AlwaysLeft,
    Coin,
    FirstShown,
    LongerText,
    PairPredictor,
    PreferenceJudge,
    RecordedJudge,
    reference_judge,
)
from affekt.ranking.preference import PreferenceModel, load_preferences, train_preferences
from affekt.ranking.preference_evaluation import PreferenceEvaluation, answers_of, evaluate_preferences
from affekt.ranking.preference_scores import even_accuracy, official_scores, swap_consistency
from affekt.ranking.preference_shortcuts import Answers
from affekt.ranking.ranks import Places, better, places, simultaneous_intervals
from affekt.ranking.raters import CrowdFit, crowd_fit, rater_vote_share
from affekt.ranking.reading import SHAPES, Shape, read_comparisons
from affekt.ranking.references import elo, tallies, win_rates
from affekt.ranking.schedule import Pair, more_needed, next_pairs, pair_gains
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

__all__ = [
    'SHAPES',
    'Agreement',
    'AlwaysLeft',
    'Answer',
    'Answers',
    'Bias',
    'Bounds',
    'Cells',
    'ClipLimits',
    'Coin',
    'Comparisons',
    'CrowdFit',
    'Described',
    'DescribedPair',
    'Diagnosis',
    'Draws',
    'FirstShown',
    'Fit',
    'Judge',
    'JudgeReport',
    'Judgement',
    'Judgements',
    'LanguageModelJudge',
    'LongerText',
    'ModelUse',
    'Pair',
    'PairPredictor',
    'Pairs',
    'Panel',
    'Places',
    'PreferenceEvaluation',
    'PreferenceJudge',
    'PreferenceModel',
    'Price',
    'RankSettings',
    'Ranking',
    'RecordedJudge',
    'Recovery',
    'Shape',
    'Spread',
    'Standing',
    'Verdict',
    'agreement_with_people',
    'alpha_interval',
    'answers_of',
    'better',
    'biases',
    'bootstrap',
    'cohen_kappa',
    'count',
    'crowd_fit',
    'diagnose',
    'effect_contrasts',
    'elo',
    'evaluate_preferences',
    'even_accuracy',
    'fit',
    'intervals',
    'judge_descriptions',
    'judge_pairs',
    'kendall',
    'krippendorff_alpha',
    'load_preferences',
    'more_needed',
    'next_pairs',
    'official_scores',
    'official_verdict',
    'pair_contrasts',
    'pair_gains',
    'percentile_intervals',
    'places',
    'rank',
    'rank_biased_overlap',
    'rater_vote_share',
    'ratings_of',
    'read_comparisons',
    'read_described',
    'read_pairs',
    'read_verdict',
    'recover',
    'reference_agreements',
    'reference_judge',
    'report_on',
    'simulate',
    'simultaneous_intervals',
    'spearman',
    'spread',
    'strength_contrasts',
    'swap_consistency',
    'tallies',
    'train_preferences',
    'win_matrix',
    'win_rates',
]

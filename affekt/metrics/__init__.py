"""How well predictions match truth: categories, dimensions, several labels at once, free words, calibration, intervals.

Arrays of truth and prediction come in, a float comes out; `bootstrap_interval` turns any of these metrics into a value
with its interval, and `measures.py` has the usual ones ready for fast intervals and paired tests. Free words
(`open_vocabulary.py`) come in as text and are folded by a word table; `score_open_vocabulary` gives all that belongs to
such a score. Undefined results are nan, never 0. Read `categorical.py` first, then `intervals.py`. NumPy and SciPy are
all it needs.
"""

from affekt.metrics.agreement import (
    alpha_interval,
    cohen_kappa,
    kendall,
    krippendorff_alpha,
    rank_biased_overlap,
    spearman,
)
from affekt.metrics.answers import LabelledAnswers, require_names, require_same_names
from affekt.metrics.calibration import (
    calibrated,
    event_calibration_error,
    expected_calibration_error,
    fit_temperature,
)
from affekt.metrics.categorical import (
    accuracy,
    balanced_accuracy,
    confusion,
    macro_f1,
    per_class_f1,
    per_class_recall,
    weighted_f1,
)
from affekt.metrics.challenge import best_epoch, combined_score, emotion_valence_score, mean_of_folds
from affekt.metrics.dimensional import concordance, mean_absolute_error, mean_squared_error, pearson
from affekt.metrics.intervals import UNBOUNDED, Interval, bootstrap_interval, student_interval
from affekt.metrics.label_files import LabelPair, read_label_pair, reads_of
from affekt.metrics.measures import (
    Measure,
    PairedTest,
    categorical_measure,
    challenge_measure,
    compare,
    compare_with,
    dimensional_measure,
    measure_intervals,
    sentiment_measure,
)
from affekt.metrics.multilabel import (
    average_precision,
    mean_average_precision,
    multilabel_macro_f1,
    multilabel_micro_f1,
    per_label_average_precision,
    per_label_f1,
)
from affekt.metrics.named import METRICS, Metric, MetricScore, metric_named, score_labels
from affekt.metrics.open_vocabulary import (
    GroupedScore,
    HitScore,
    OfficialMeasure,
    SentimentScore,
    SetScore,
    grouped_scores,
    hit_rates,
    official_parse,
    sentiment_scores,
    set_scores,
    shares_any_group,
)
from affekt.metrics.open_vocabulary_consistent import ConsistentMeasure, consistent_parse
from affekt.metrics.open_vocabulary_score import (
    Coverage,
    OpenVocabularyScore,
    compare_open_vocabulary,
    score_open_vocabulary,
)
from affekt.metrics.resampling import Statistic, holm, paired_test, resampled_sums, summed_by
from affekt.metrics.sentiment import (
    SIMS_EDGES,
    SentimentReport,
    edged_accuracy,
    rounded_accuracy,
    sentiment_report,
    signs,
)

__all__ = [
    'METRICS',
    'SIMS_EDGES',
    'UNBOUNDED',
    'ConsistentMeasure',
    'Coverage',
    'GroupedScore',
    'HitScore',
    'Interval',
    'LabelPair',
    'LabelledAnswers',
    'Measure',
    'Metric',
    'MetricScore',
    'OfficialMeasure',
    'OpenVocabularyScore',
    'PairedTest',
    'SentimentReport',
    'SentimentScore',
    'SetScore',
    'Statistic',
    'accuracy',
    'alpha_interval',
    'average_precision',
    'balanced_accuracy',
    'best_epoch',
    'bootstrap_interval',
    'calibrated',
    'categorical_measure',
    'challenge_measure',
    'cohen_kappa',
    'combined_score',
    'compare',
    'compare_open_vocabulary',
    'compare_with',
    'concordance',
    'confusion',
    'consistent_parse',
    'dimensional_measure',
    'edged_accuracy',
    'emotion_valence_score',
    'event_calibration_error',
    'expected_calibration_error',
    'fit_temperature',
    'grouped_scores',
    'hit_rates',
    'holm',
    'kendall',
    'krippendorff_alpha',
    'macro_f1',
    'mean_absolute_error',
    'mean_average_precision',
    'mean_of_folds',
    'mean_squared_error',
    'measure_intervals',
    'metric_named',
    'multilabel_macro_f1',
    'multilabel_micro_f1',
    'official_parse',
    'paired_test',
    'pearson',
    'per_class_f1',
    'per_class_recall',
    'per_label_average_precision',
    'per_label_f1',
    'rank_biased_overlap',
    'read_label_pair',
    'reads_of',
    'require_names',
    'require_same_names',
    'resampled_sums',
    'rounded_accuracy',
    'score_labels',
    'score_open_vocabulary',
    'sentiment_measure',
    'sentiment_report',
    'sentiment_scores',
    'set_scores',
    'shares_any_group',
    'signs',
    'spearman',
    'student_interval',
    'summed_by',
    'weighted_f1',
]

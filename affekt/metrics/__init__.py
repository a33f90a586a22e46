"""How well predictions match truth: categories, dimensions, several labels at once, free words, calibration, intervals.

Arrays of truth and prediction come in, a float comes out; `bootstrap_interval` turns any of these metrics
into a value with its interval. Free words (`open_vocabulary.py`) come in as text and are folded by a word table;
`score_open_vocabulary` gives all that belongs to such a score. Undefined results are nan, never 0. Read
`categorical.py` first, then `intervals.py`. NumPy and SciPy are all it needs.
"""

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
from affekt.metrics.dimensional import concordance, pearson
from affekt.metrics.intervals import Interval, bootstrap_interval
from affekt.metrics.multilabel import (
    average_precision,
    mean_average_precision,
    multilabel_macro_f1,
    multilabel_micro_f1,
    per_label_average_precision,
    per_label_f1,
)
from affekt.metrics.open_vocabulary import (
    GroupedScore,
    HitScore,
    SentimentScore,
    SetScore,
    grouped_scores,
    hit_rates,
    sentiment_scores,
    set_scores,
    shares_any_group,
)
from affekt.metrics.open_vocabulary_score import (
    OpenVocabularyScore,
    compare_open_vocabulary,
    score_open_vocabulary,
)

__all__ = [
    'GroupedScore',
    'HitScore',
    'Interval',
    'OpenVocabularyScore',
    'SentimentScore',
    'SetScore',
    'accuracy',
    'average_precision',
    'balanced_accuracy',
    'bootstrap_interval',
    'calibrated',
    'compare_open_vocabulary',
    'concordance',
    'confusion',
    'event_calibration_error',
    'expected_calibration_error',
    'fit_temperature',
    'grouped_scores',
    'hit_rates',
    'macro_f1',
    'mean_average_precision',
    'multilabel_macro_f1',
    'multilabel_micro_f1',
    'pearson',
    'per_class_f1',
    'per_class_recall',
    'per_label_average_precision',
    'per_label_f1',
    'score_open_vocabulary',
    'sentiment_scores',
    'set_scores',
    'shares_any_group',
    'weighted_f1',
]

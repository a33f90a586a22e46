"""How well predictions match truth: categories, dimensions, several labels at once, calibration, intervals.

Arrays of truth and prediction come in, a float comes out; `bootstrap_interval` turns any of these metrics
into a value with its interval. Undefined results are nan, never 0. Read `categorical.py` first, then
`intervals.py`. NumPy is all it needs.
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

__all__ = [
    'Interval',
    'accuracy',
    'average_precision',
    'balanced_accuracy',
    'bootstrap_interval',
    'calibrated',
    'concordance',
    'confusion',
    'event_calibration_error',
    'expected_calibration_error',
    'fit_temperature',
    'macro_f1',
    'mean_average_precision',
    'multilabel_macro_f1',
    'multilabel_micro_f1',
    'pearson',
    'per_class_f1',
    'per_class_recall',
    'per_label_average_precision',
    'per_label_f1',
    'weighted_f1',
]

"""Preference models, which predict which of two descriptions of a clip people prefer, and their evaluation.

Pairs of descriptions and people's verdicts come in; a model that treats left and right alike, its score beside rules
that ignore emotion, and its answers on new pairs come out. Read `model.py` first, then `features.py` and
`evaluation.py`; `files.py` reads and writes files.
"""

from affekt.preference.described_pairs import LEFT, RIGHT, TIE, DescribedPair, paired, read_describers
from affekt.preference.evaluation import JudgeScores, PreferenceEvaluation, answers_of, evaluate_preferences
from affekt.preference.files import evaluate_file, predict_file, train_file
from affekt.preference.model import PreferenceModel, load_preferences, train_preferences
from affekt.preference.pair_tables import PairTable, read_pair_table
from affekt.preference.pairs import Pairs, read_pairs
from affekt.preference.scores import even_accuracy, official_scores, swap_consistency, verdicts
from affekt.preference.shortcuts import Answers

__all__ = [
    'LEFT',
    'RIGHT',
    'TIE',
    'Answers',
    'DescribedPair',
    'JudgeScores',
    'PairTable',
    'Pairs',
    'PreferenceEvaluation',
    'PreferenceModel',
    'answers_of',
    'evaluate_file',
    'evaluate_preferences',
    'even_accuracy',
    'load_preferences',
    'official_scores',
    'paired',
    'predict_file',
    'read_describers',
    'read_pair_table',
    'read_pairs',
    'swap_consistency',
    'train_file',
    'train_preferences',
    'verdicts',
]

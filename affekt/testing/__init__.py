"""Contracts of recipes, fusion models, corpora, metrics, judges, exports and encoders, as plain functions.

A member, or its name, comes in; the function returns where it fulfils the contract, and raises a `ContractError` with
one sentence on the fault where it does not. Each function's docstring lists its checks. affekt runs them over every
member of its own; run them over yours in any test framework, or without. Read `contract.py` first.
"""

from affekt.testing.corpora import check_corpus
from affekt.testing.encoders import check_encoder
from affekt.testing.exports import check_export
from affekt.testing.fusion import check_fusion
from affekt.testing.judges import check_judge
from affekt.testing.metrics import check_metric
from affekt.testing.recipes import check_recipe

__all__ = [
    'check_corpus',
    'check_encoder',
    'check_export',
    'check_fusion',
    'check_judge',
    'check_metric',
    'check_recipe',
]

"""Contracts: what every recipe, fusion model, corpus, metric, judge, export and encoder must do, as plain functions.

A member goes in, or its name; nothing comes out where it does all of it, and a `ContractError` with one sentence on
what is broken where it does not. Each function's docstring lists what it checks. affekt runs them over every member of
its own; run them over yours from any test, or from none. Read `contract.py` first.
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

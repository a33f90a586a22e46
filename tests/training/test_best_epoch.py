"""Which epoch is kept, when waiting ends, and that a resumed run keeps the same."""

import math

import pytest
import torch
from torch import nn

from affekt.errors import TrainingError
from affekt.training import BestEpoch

SCORES = (0.2, math.nan, 0.7, 0.7, 0.1)


def rows(count):
    return [{'step': 1.0}, *({'epoch': float(i + 1), 'score': SCORES[i]} for i in range(count))]


def model_of(epoch):
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(epoch)
        model[1].running_mean.fill_(epoch)
    return model


@pytest.mark.parametrize('killed_after', [None, 2, 4])
def test_the_first_of_the_best_epochs_is_kept_with_its_buffers_also_after_a_kill(killed_after, tmp_path):
    best = BestEpoch(tmp_path)
    for epoch, score in enumerate(SCORES, 1):
        best.offer(model_of(epoch), score)
        if epoch == killed_after:
            best = BestEpoch(tmp_path, resume=True)
    model = model_of(9)
    assert best.put_into(model, rows(5)[1:], 'ccc') == (3, 0.7)
    assert model[0].weight.item() == model[1].running_mean.item() == 3


def test_waiting_ends_after_so_many_epochs_without_a_better_one():
    best = BestEpoch(None, patience=2)
    assert [best.is_over(rows(count)) for count in range(6)] == [False, False, False, False, False, True]
    assert not BestEpoch(None).is_over(rows(5))


def test_a_score_that_was_never_defined_chooses_nothing():
    best = BestEpoch(None)
    best.offer(model_of(1), math.nan)
    with pytest.raises(TrainingError, match='ccc undefined after all 1'):
        best.put_into(model_of(2), [{'epoch': 1.0, 'score': math.nan}], 'ccc')

import math

import numpy as np
import pytest
import torch

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.metrics import concordance
from affekt.sequence_models import (
    PUBLISHED_EXPRESSION_LOSS,
    ExpressionLoss,
    balanced_units,
    class_weights,
    concordance_loss,
    squared_loss,
    unit_loss,
)

RAMP = torch.arange(4.0).reshape(1, 4, 1)  # (B, T, V)


def test_a_shift_by_one_loses_two_sevenths():
    # var = cov = 5/4, shift**2 = 1, so the score is 2(5/4) / (5/4 + 5/4 + 1) = 5/7
    assert concordance_loss(RAMP + 1, RAMP).item() == pytest.approx(2 / 7, abs=1e-6)


def test_published_moments_lose_eleven_of_twenty_six_by_the_same_shift():
    # cov = 5/4 over n, variances 5/3 over n - 1: 2(5/4) / (5/3 + 5/3 + 1) = 15/26
    assert concordance_loss(RAMP + 1, RAMP, moments='published').item() == pytest.approx(11 / 26, abs=1e-6)


@pytest.mark.parametrize(('moments', 'lost'), [('population', 0.0), ('published', 1 / 4)])
def test_a_perfect_answer_loses_nothing_but_a_share_of_one_in_n_by_published_moments(moments, lost):
    # (n - 1) / n of the true score, n = 4
    assert concordance_loss(RAMP, RAMP, moments=moments).item() == pytest.approx(lost, abs=1e-6)


def test_published_moments_shrink_scores_as_measured_on_the_published_code():
    draws = torch.Generator().manual_seed(0)
    for count, ratio in ((5, 0.8), (10, 0.9), (100, 0.99), (1000, 0.999)):
        truth = torch.randn(1, count, 1, generator=draws)
        answer = truth + 0.5 * torch.randn(1, count, 1, generator=draws)
        answer = answer - answer.mean() + truth.mean()  # no shift, so that the ratio is (n - 1) / n alone
        ours = 1 - concordance_loss(answer, truth).item()
        published = 1 - concordance_loss(answer, truth, moments='published').item()
        assert published / ours == pytest.approx(ratio, abs=1e-4)


def test_the_loss_is_the_mean_over_windows_and_values():
    # window 0: 2/7 and 0; window 1: 1 (a constant) and 2, of a perfect opposite: cov = -var, no shift
    truth = RAMP.expand(2, 4, 2)
    first = torch.cat([RAMP + 1, RAMP], dim=2)
    second = torch.cat([torch.ones_like(RAMP), 3 - RAMP], dim=2)
    assert concordance_loss(torch.cat([first, second]), truth).item() == pytest.approx(
        (2 / 7 + 0 + 1 + 2) / 4, abs=1e-6
    )


def test_across_a_batch_is_the_official_score_of_all_frames_in_one_line():
    draws = torch.Generator().manual_seed(1)
    truth, values = torch.randn(3, 50, 2, generator=draws), torch.randn(3, 50, 2, generator=draws)
    keep = torch.rand(3, 50, generator=draws) > 0.3
    scores = [concordance(truth[..., i][keep].numpy(), values[..., i][keep].numpy()) for i in range(2)]
    assert concordance_loss(values, truth, keep, across='batch').item() == pytest.approx(1 - np.mean(scores), abs=1e-6)


def test_frames_that_are_not_kept_or_not_known_change_no_loss_of_values():
    nan, junk = torch.full((1, 1, 1), math.nan), torch.full((1, 1, 1), 1e6)
    values = torch.cat([junk, RAMP[:, :2] + 1, junk, RAMP[:, 2:] + 1], dim=1)
    truth = torch.cat([nan, RAMP[:, :2], junk / 2, RAMP[:, 2:]], dim=1)
    keep = torch.tensor([[True, True, True, False, True, True]])
    for moments, lost in (('population', 2 / 7), ('published', 11 / 26)):
        values.requires_grad_()
        loss = concordance_loss(values, truth, keep, moments=moments)
        assert loss.item() == pytest.approx(lost, abs=1e-6)
        (gradient,) = torch.autograd.grad(loss, values)
        assert gradient.isfinite().all()
        assert gradient[0, [0, 3]].abs().max() == 0
    assert squared_loss(values, truth, keep).item() == pytest.approx(1.0)


@pytest.mark.parametrize('moments', ['population', 'published'])
@pytest.mark.parametrize(('truth', 'values'), [('flat', 'ramp'), ('ramp', 'flat'), ('flat', 'flat'), ('flat', 'other')])
def test_a_constant_window_loses_one_and_has_a_finite_gradient(moments, truth, values):
    ramp = torch.linspace(-1, 1, 1000).reshape(1, -1, 1)
    windows = {'ramp': ramp, 'flat': torch.full_like(ramp, 0.3), 'other': torch.full_like(ramp, -0.7)}
    answer = windows[values].clone().requires_grad_()
    loss = concordance_loss(answer, windows[truth], moments=moments)
    assert loss.item() == pytest.approx(1.0, abs=1e-4)
    loss.backward()
    assert answer.grad.isfinite().all()
    assert answer.grad.abs().max() < 10


def test_windows_of_which_nothing_is_kept_contribute_nothing():
    values = torch.cat([RAMP + 1, 100 * RAMP]).requires_grad_()
    keep = torch.tensor([[True] * 4, [False] * 4])
    truth = RAMP.expand(2, 4, 1)
    loss = concordance_loss(values, truth, keep)
    assert loss.item() == pytest.approx(2 / 7, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, values)
    assert gradient[1].abs().max() == 0


def test_a_loss_over_nothing_is_zero_with_a_gradient_of_zero():
    answers = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    none = torch.zeros(2, 4, dtype=torch.bool)
    losses = [
        concordance_loss(answers, torch.zeros(2, 4, 2), none),
        concordance_loss(answers, torch.full((2, 4, 2), math.nan), across='batch'),
        squared_loss(answers, torch.full((2, 4, 2), math.nan)),
        PUBLISHED_EXPRESSION_LOSS(answers, torch.full((2, 4), -1)),
        unit_loss(answers, torch.full((2, 4, 2), -1, dtype=torch.int8)),
    ]
    assert [loss.item() for loss in losses] == [0.0] * 5
    (gradient,) = torch.autograd.grad(sum(losses), answers)
    assert gradient.abs().max() == 0


def test_the_gradient_of_the_concordance_loss_is_that_of_differences():
    draws = torch.Generator().manual_seed(2)
    truth, values = torch.randn(1, 6, 1, generator=draws), torch.randn(1, 6, 1, generator=draws).requires_grad_()
    for moments in ('population', 'published'):
        (gradient,) = torch.autograd.grad(concordance_loss(values, truth, moments=moments), values)
        for t in range(6):
            step = torch.zeros(1, 6, 1)
            step[0, t] = 1e-2
            up, down = (concordance_loss(values + sign * step, truth, moments=moments).item() for sign in (1, -1))
            assert gradient[0, t, 0].item() == pytest.approx((up - down) / 2e-2, abs=1e-3)


# Two classes with logits ln 3 and 0 have probabilities 3/4 and 1/4.
LOGITS = torch.tensor([[math.log(3.0), 0.0]])
ZERO, UNIT = torch.tensor([0]), torch.tensor([1])


def test_plain_cross_entropy_is_the_logarithm_of_the_label():
    assert ExpressionLoss()(LOGITS, ZERO).item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    assert ExpressionLoss()(LOGITS, UNIT).item() == pytest.approx(math.log(4), abs=1e-6)


def test_smoothing_spreads_a_share_of_the_truth_over_all_classes():
    # smoothing 0.2 of two classes: q = (0.9, 0.1)
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert ExpressionLoss(smoothing=0.2)(LOGITS, ZERO).item() == pytest.approx(expected, abs=1e-6)


def test_the_focal_term_counts_a_sure_frame_less():
    # (1 - 3/4)**2 = 1/16 of the cross-entropy, and (1 - 1/4)**2 = 9/16 where the model is wrong
    focal = ExpressionLoss(alpha=0.9, gamma=2)
    assert focal(LOGITS, ZERO).item() == pytest.approx(0.9 / 16 * math.log(4 / 3), abs=1e-7)
    assert focal(LOGITS, UNIT).item() == pytest.approx(0.9 * 9 / 16 * math.log(4), abs=1e-6)


def test_the_divergence_is_zero_for_the_smoothed_truth_itself():
    only = ExpressionLoss(smoothing=0.2, divergence=1.0)
    exact = torch.tensor([[math.log(0.9), math.log(0.1)]])
    assert only(exact, ZERO).item() == pytest.approx(0.0, abs=1e-6)
    # Σ q log(q / p) with q = (0.9, 0.1), p = (3/4, 1/4)
    expected = 0.9 * math.log(0.9 / 0.75) + 0.1 * math.log(0.1 / 0.25)
    assert only(LOGITS, ZERO).item() == pytest.approx(expected, abs=1e-6)
    # without smoothing it is the cross-entropy: the truth has no entropy of its own
    assert ExpressionLoss(divergence=1.0)(LOGITS, ZERO).item() == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_the_published_loss_is_four_fifths_focal_and_a_fifth_divergence():
    # q = (0.95, 0.05): smoothing 0.1 of two classes
    smoothed = 0.95 * math.log(4 / 3) + 0.05 * math.log(4)
    divergence = 0.95 * math.log(0.95 / 0.75) + 0.05 * math.log(0.05 / 0.25)
    expected = 0.8 * 0.9 / 16 * smoothed + 0.2 * divergence
    assert PUBLISHED_EXPRESSION_LOSS(LOGITS, ZERO).item() == pytest.approx(expected, abs=1e-6)


def test_class_weights_are_used_and_the_mean_divides_by_their_sum():
    # weights 1 and 3 of one frame each: (1 ln(4/3) + 3 ln 4) / 4
    logits, labels = LOGITS.expand(2, 2), torch.tensor([0, 1])
    weighted = ExpressionLoss(weights=(1.0, 3.0))(logits, labels)
    assert weighted.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(4)) / 4, abs=1e-6)


def test_frames_that_are_not_kept_or_not_known_change_no_loss_of_expressions():
    logits = torch.cat([LOGITS, torch.full((1, 2), math.nan), -1e9 * LOGITS]).requires_grad_()
    labels, keep = torch.tensor([0, 1, -1]), torch.tensor([True, False, True])
    loss = PUBLISHED_EXPRESSION_LOSS(logits, labels, keep)
    assert loss.item() == pytest.approx(PUBLISHED_EXPRESSION_LOSS(LOGITS, ZERO).item())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[1:].abs().max() == 0


def test_a_sure_and_right_answer_has_a_finite_gradient():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    for gamma in (0.5, 1.0, 2.0):
        (gradient,) = torch.autograd.grad(ExpressionLoss(alpha=0.9, gamma=gamma)(logits, ZERO), logits)
        assert gradient.isfinite().all()


def test_class_weights_are_inverse_to_frequency():
    # 8 frames of 2 classes: N / (C n_c) = 8 / (2 * 6), 8 / (2 * 2)
    assert class_weights(torch.tensor([6, 2])) == pytest.approx((2 / 3, 2.0))
    assert class_weights(torch.tensor([6, 0, 2])) == pytest.approx((2 / 3, 0.0, 2.0))
    # beta 1/2: effective numbers (1 - 1/2) / (1/2) = 1 and (1 - 1/4) / (1/2) = 3/2, so 1 and 2/3, whose mean over the
    # 3 frames is (1 + 4/3) / 3 = 7/9
    assert class_weights(torch.tensor([1, 2]), beta=0.5) == pytest.approx((9 / 7, 6 / 7))
    assert class_weights(torch.tensor([1, 2]), beta=0.0) == pytest.approx((1.0, 1.0))


def test_the_unit_loss_is_the_mean_over_known_units():
    # σ(ln 3) = 3/4: shown loses ln(4/3), not shown ln 4; the third is unknown
    logits = torch.full((1, 1, 3), math.log(3.0))
    units = torch.tensor([[[1, 0, -1]]], dtype=torch.int8)
    assert unit_loss(logits, units).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2, abs=1e-6)
    weighted = unit_loss(logits, units, positive_weights=torch.tensor([3.0, 1.0, 1.0]))
    assert weighted.item() == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 2, abs=1e-6)
    keep = torch.tensor([[False, True]])
    both = torch.cat([logits * math.nan, logits], dim=1)
    assert unit_loss(both, units.expand(1, 2, 3), keep).item() == pytest.approx(unit_loss(logits, units).item())


def test_units_are_balanced_by_frames_without_over_frames_with():
    units = torch.tensor([[1, 0, -1], [0, 0, 1], [0, 0, -1], [0, -1, 1]], dtype=torch.int8)
    assert balanced_units(units).tolist() == [3.0, 1.0, 1.0]


def test_what_is_wrong_with_a_loss_is_said():
    truth = torch.zeros(1, 4, 2)
    with pytest.raises(ShapeError, match='one shape'):
        concordance_loss(torch.zeros(1, 4, 1), truth)
    with pytest.raises(ShapeError, match='boolean mask'):
        concordance_loss(truth, truth, torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises(UnknownNameError, match='sample'):
        concordance_loss(truth, truth, moments='sample')
    with pytest.raises(ValueRangeError, match='-5'):
        ExpressionLoss()(LOGITS, torch.tensor([-5]))
    with pytest.raises(ValueRangeError, match='from 0 to 1'):
        ExpressionLoss()(LOGITS, torch.tensor([2]))
    with pytest.raises(ValueRangeError, match='2 class weights'):
        ExpressionLoss(weights=(1.0,))(LOGITS, ZERO)
    with pytest.raises(ShapeError, match='one label a frame'):
        ExpressionLoss()(LOGITS, torch.tensor([0, 1]))
    with pytest.raises(ValueRangeError, match='smoothing'):
        ExpressionLoss(smoothing=1.0)
    with pytest.raises(ValueRangeError, match='counts'):
        class_weights(torch.tensor([0, 0]))

"""What holds of every model of frames."""

import math

import pytest
import torch

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.sequence_models import SEQUENCE_MODELS, SequenceShape, build_sequence_model, concordance_loss

SIZES = {'audio': 5, 'text': 3, 'video': 6, 'landmarks': 4, 'pose': 2}
SHAPE = SequenceShape(SIZES, classes=8, values=2, units=12, hidden=8, dropout=0.0)
every_model = pytest.mark.parametrize('name', SEQUENCE_MODELS)


def features_of(rows: int, frames: int, seed: int = 0, sizes: dict[str, int] = SIZES) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {name: torch.randn(rows, frames, size, generator=draws) for name, size in sizes.items()}


def built(name: str, shape: SequenceShape = SHAPE, **options):
    torch.manual_seed(0)
    return build_sequence_model(name, shape, **options).eval()


def all_of(answers) -> torch.Tensor:
    return torch.cat([answers.logits, answers.values, answers.units], dim=2)


@every_model
def test_answers_have_one_row_a_frame_and_an_empty_axis_where_a_task_is_absent(name):
    answers = built(name)(features_of(2, 7))
    assert [each.shape for each in answers[:3]] == [(2, 7, 8), (2, 7, 2), (2, 7, 12)]
    alone = built(name, SequenceShape(SIZES, values=2, hidden=8))(features_of(2, 7))
    assert [each.shape for each in alone[:3]] == [(2, 7, 0), (2, 7, 2), (2, 7, 0)]


@every_model
@pytest.mark.parametrize('frames', [1, 2])
def test_windows_of_a_frame_or_two_can_be_learnt_from(name, frames):
    model = built(name).train()
    all_of(model(features_of(3, frames))).sum().backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    assert gradients
    assert all(each.isfinite().all() for each in gradients)


@every_model
def test_a_frame_that_is_not_kept_changes_no_other_answer(name):
    model, features = built(name), features_of(2, 12)
    keep = torch.ones(2, 12, dtype=torch.bool)
    keep[0, [0, 4, 5, 11]] = False
    keep[1] = False
    before = all_of(model(features, keep))
    junk = {name: torch.where(keep.unsqueeze(2), value, math.nan) for name, value in features.items()}
    after = all_of(model(junk, keep))
    assert after.isfinite().all()
    assert torch.equal(before[keep], after[keep])


def test_a_memory_of_all_frames_at_once_waits_where_frames_are_lost_as_one_after_another_does():
    features, keep = features_of(2, 12), {}
    for number, name in enumerate(SIZES):
        keep[name] = torch.rand(2, 12, generator=torch.Generator().manual_seed(number)) > 0.4
    answers = [all_of(built('mfn_sequence', at_once=way)(features, keep)) for way in (False, True)]
    torch.testing.assert_close(*answers)


@every_model
def test_a_modality_that_is_not_kept_in_a_frame_changes_no_answer_by_what_it_holds(name):
    model, features = built(name), features_of(2, 12)
    keep = {name: torch.rand(2, 12, generator=torch.Generator().manual_seed(i)) > 0.4 for i, name in enumerate(SIZES)}
    del keep['text']  # one without a mask is kept
    before = all_of(model(features, keep))
    junk = {
        name: torch.where(keep[name].unsqueeze(2), value, math.inf) if name in keep else value
        for name, value in features.items()
    }
    assert torch.equal(before, all_of(model(junk, keep)))
    features['text'] += 1
    assert not torch.equal(before, all_of(model(features, keep)))


@every_model
def test_frames_around_a_window_that_are_not_kept_change_nothing(name):
    """Windows of other lengths, and their place in them: a position is known by its neighbours alone."""
    model, features = built(name), features_of(2, 9)
    wide = {name: torch.nn.functional.pad(value, (0, 0, 4, 6), value=3.0) for name, value in features.items()}
    keep = torch.zeros(2, 19, dtype=torch.bool)
    keep[:, 4:13] = True
    torch.testing.assert_close(all_of(model(features)), all_of(model(wide, keep))[:, 4:13], rtol=1e-5, atol=1e-6)


@every_model
def test_a_window_is_answered_alike_whatever_else_is_in_its_batch(name):
    model, features = built(name), features_of(3, 9)
    alone = all_of(model({name: value[1:2] for name, value in features.items()}))
    torch.testing.assert_close(all_of(model(features))[1:2], alone, rtol=1e-5, atol=1e-6)


@every_model
def test_every_parameter_gets_a_gradient(name):
    model = built(name).train()
    keep = {name: torch.rand(2, 10, generator=torch.Generator().manual_seed(i)) > 0.4 for i, name in enumerate(SIZES)}
    answers = model(features_of(2, 10), keep)
    (all_of(answers).square().mean() + sum(answers.losses.values())).backward()
    assert [name for name, each in model.named_parameters() if each.grad is None or not each.grad.abs().max() > 0] == []


@every_model
def test_windows_of_which_nothing_is_kept_leave_all_gradients_finite(name):
    model = built(name).train()
    keep = torch.ones(2, 8, dtype=torch.bool)
    keep[1] = False
    for mask in (keep, torch.zeros_like(keep)):
        answers = model(features_of(2, 8), mask)
        loss = concordance_loss(answers.values, torch.zeros(2, 8, 2), mask)
        (loss + sum(answers.losses.values())).backward()
        assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())
    assert loss.item() == 0


@every_model
def test_inputs_are_standardised_on_training_data(name):
    model, features = built(name), features_of(2, 12)
    keep = torch.rand(2, 12, generator=torch.Generator().manual_seed(1)) > 0.3
    model.standardise_on(features, keep)
    before = all_of(model(features, keep))
    moved = {name: 1000 + 50 * value for name, value in features.items()}
    model.standardise_on({name: value[keep] for name, value in moved.items()})  # the kept frames in one line
    torch.testing.assert_close(all_of(model(moved, keep))[keep], before[keep], rtol=1e-3, atol=1e-3)


@every_model
def test_a_model_takes_any_number_of_modalities(name):
    fewest = SEQUENCE_MODELS[name].fewest_modalities
    sizes = dict(list(SIZES.items())[:fewest])
    answers = built(name, SequenceShape(sizes, values=1, hidden=8))(features_of(1, 5, sizes=sizes))
    assert answers.values.shape == (1, 5, 1)


@every_model
def test_a_model_says_what_is_wrong_with_its_input(name):
    model, features = built(name), features_of(2, 6)
    with pytest.raises(UnknownNameError, match='pose'):
        model({name: value for name, value in features.items() if name != 'pose'})
    with pytest.raises(ShapeError, match='clock'):
        model(features | {'pose': torch.zeros(2, 5, 2)})
    with pytest.raises(ShapeError, match='D = 2'):
        model(features | {'pose': torch.zeros(2, 6, 3)})
    with pytest.raises(ShapeError, match='boolean mask'):
        model(features, torch.ones(2, 6))
    with pytest.raises(UnknownNameError, match='voice'):
        model(features, {'voice': torch.ones(2, 6, dtype=torch.bool)})


def test_what_cannot_be_built_is_said():
    with pytest.raises(UnknownNameError, match='convolution'):
        build_sequence_model('convolutoin', SHAPE)
    with pytest.raises(UnknownNameError, match='kernal'):
        build_sequence_model('convolution', SHAPE, kernal=3)
    with pytest.raises(ValueRangeError, match='kernel'):
        build_sequence_model('convolution', SHAPE, kernel=4)
    with pytest.raises(ValueRangeError, match='corrected'):
        build_sequence_model('convolution', SequenceShape(SIZES, values=2, form='reference'))
    with pytest.raises(ValueRangeError, match='0 classes'):
        SequenceShape(SIZES)
    with pytest.raises(ValueRangeError, match='dropout'):
        SequenceShape(SIZES, values=1, dropout=1.0)


@pytest.mark.parametrize('modality', ['clip.large', '', 'values', 'training', 'copy', '_modules'])
def test_a_modality_whose_name_torch_needs_is_refused_before_anything_is_built(modality):
    with pytest.raises(UnknownNameError, match='rename'):
        SequenceShape({modality: 3}, values=1)


@pytest.mark.parametrize(
    ('name', 'options', 'sentence'),
    [
        ('convolution', {'layers': 2.0}, 'a whole number for layers; got 2.0'),
        ('convolution', {'layers': True}, 'a whole number for layers'),
        ('convolution', {'causal': 'no'}, "True or False for causal; got 'no'"),
        ('mctn_sequence', {'translation': '1'}, 'a number for translation'),
        ('mctn_sequence', {'teacher_forcing': 1.5}, 'teacher_forcing in'),
        ('mctn_sequence', {'translation': math.nan}, 'translation of 0 or more'),
        ('mfn_sequence', {'memory': 0}, 'width 1 or more'),
    ],
)
def test_an_option_out_of_its_range_or_of_another_type_is_refused(name, options, sentence):
    with pytest.raises(ValueRangeError, match=sentence):
        build_sequence_model(name, SHAPE, **options)
    assert build_sequence_model('mctn_sequence', SHAPE, teacher_forcing=1).training


def test_a_tiny_model_learns_a_curve_by_heart():
    sizes = {'audio': 3, 'video': 4}
    features = features_of(1, 16, sizes=sizes)
    truth = torch.stack([torch.linspace(0, 6, 16).sin(), torch.linspace(0, 4, 16).cos()], dim=1).unsqueeze(0)
    model = built('attention_sequence', SequenceShape(sizes, values=2, hidden=8, dropout=0.0)).train()
    for _ in range(150):
        loss = concordance_loss(model(features).values, truth)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for each in model.parameters():
                each -= 0.5 * each.grad
    assert loss.item() < 0.05, loss.item()

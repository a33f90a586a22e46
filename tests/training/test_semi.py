"""Unlabelled samples are learnt from without their truth being read, the same from one seed and after a kill."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import training_cases as cases

from affekt.errors import RunError, UnknownNameError, ValueRangeError
from affekt.training import SCORES, SemiSettings, TrainingSettings, predict, pseudo_labelled, train, train_semi
from affekt.training.samples import Samples
from affekt.training.unlabelled import Unlabelled

SETTINGS = TrainingSettings(epochs=40, batch_size=8, learning_rate=1e-2, patience=None, score='weighted_f1')
PSEUDO = SemiSettings('pseudo', threshold=0.0)


def clusters(count: int, seed: int) -> Samples:
    """Three clouds whose one modality tells the categories apart only together with what lies between them."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = 1.6 * torch.randn(3, 20, generator=torch.Generator().manual_seed(7))
    return Samples({'text': centres[labels] + 1.6 * torch.randn(count, 20, generator=rng)}, labels)


def small():
    torch.manual_seed(0)
    from affekt.fusion import FusionShape, build_fusion

    return build_fusion('gated', FusionShape({'text': 20}, 3, values=0, hidden=16, dropout=0.2))


@pytest.fixture(scope='module')
def alone() -> float:
    """The score that nine labelled samples reach by themselves."""
    return train(small(), clusters(9, 1), clusters(300, 2), SETTINGS).best_score


@pytest.mark.parametrize(
    'semi',
    [
        PSEUDO,
        replace(PSEUDO, threshold=0.6),
        replace(PSEUDO, share=0.5, balanced=True),
        SemiSettings(threshold=0.6),
        SemiSettings(threshold=0.6, teacher_decay=0.9),
    ],
    ids=lambda semi: f'{semi.kind} {semi.threshold} {semi.share} {semi.teacher_decay}',
)
def test_clouds_are_told_apart_better_with_unlabelled_samples_in_them(semi, alone):
    labelled, validation, unlabelled = clusters(9, 1), clusters(300, 2), clusters(400, 3)
    both = train_semi(small(), labelled, unlabelled, validation, SETTINGS, semi)
    assert both.best.healthy().best_score > alone + 0.03


@pytest.mark.parametrize('semi', [PSEUDO, SemiSettings(threshold=0.5)], ids=lambda semi: semi.kind)
def test_the_truth_of_unlabelled_samples_is_not_read(semi):
    parts = cases.samples(40), cases.samples(60, 1), cases.samples(40, 2)
    wrong = replace(parts[1], labels=(parts[1].labels + 1) % 3, values=parts[1].values * math.nan)
    settings = replace(cases.SETTINGS, epochs=2)
    told, untold = (
        train_semi(cases.model(), parts[0], beside, parts[2], settings, semi) for beside in (parts[1], wrong)
    )
    assert [held.trained.history for held in told.rounds] == [held.trained.history for held in untold.rounds]


def test_values_alone_are_made_consistent_and_have_no_sure_guesses():
    def valued(count, seed):
        return replace(cases.samples(count, seed), labels=None)

    model, parts = cases.model(classes=0), (valued(20, 0), valued(200, 1), valued(60, 2))
    found = train_semi(model, *parts, replace(cases.SETTINGS, score='squared_error'), SemiSettings(ramp=0))
    rows = found.best.healthy().history
    assert all(row['unlabelled_value'] > 0 for row in rows)
    with pytest.raises(UnknownNameError, match='consistency'):
        train_semi(model, *parts, cases.SETTINGS, PSEUDO)


def test_frames_and_three_modalities_some_of_them_missing_are_learnt_from():
    parts = [cases.samples(count, seed, 'frame') for seed, count in enumerate((30, 60, 30))]
    present = {'audio': torch.arange(60) % 2 == 0, 'text': torch.arange(60) % 3 > 0}
    parts[1] = replace(parts[1], present=present)
    semi = SemiSettings(threshold=0.3, modality_dropout=0.5)
    found = train_semi(cases.model(level='frame'), *parts, replace(cases.SETTINGS, epochs=2), semi)
    assert found.best.history[-1]['sure'] == 1.0  # of three categories the likeliest has a third at least


def test_a_step_adds_the_mean_loss_of_sure_guesses_over_all_samples_seen():
    class Fixed(torch.nn.Module):
        """Says the first feature as log odds of category 1."""

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, features, keep_mask=None):
            from affekt.fusion import Fused

            odds = self.scale * features['text'][:, :1]
            return Fused(odds, torch.cat([torch.zeros_like(odds), odds], dim=1), odds[:, :0])

    from affekt.training.parallel import Ranks

    features = torch.tensor([[math.log(9.0)], [-math.log(9.0)], [0.0], [0.5]])  # p = 0.9, 0.9, 0.5, 0.62
    semi = SemiSettings(threshold=0.8, weak_noise=0, strong_noise=0, feature_dropout=0, ramp=0)
    held, model = Unlabelled(Samples({'text': features}), replace(semi, weight=2.0, ratio=1)), Fixed()
    assert held.begin(model, torch.device('cpu')) is model
    lesson = held.lesson(TrainingSettings(batch_size=4), 1, Ranks())
    # Two of four are sure, each with a loss of -log 0.9: 2 (2/4) 0.10536
    assert lesson.losses(model)['unlabelled_category'].item() == pytest.approx(-math.log(0.9), abs=1e-6)
    assert lesson.facts() == {'sure': 0.5}
    more = Ranks()
    more.count = 5
    with pytest.raises(ValueRangeError, match='4 samples in batches of 4 for 5 processes; start fewer'):
        held.lesson(TrainingSettings(batch_size=4), 1, more)


def test_the_teacher_is_the_mean_of_all_weights_and_then_a_running_one():
    model = torch.nn.Linear(1, 1, bias=False)
    held = Unlabelled(Samples({'text': torch.zeros(2, 1)}), SemiSettings(teacher_decay=0.75))
    teacher = held.begin(model, torch.device('cpu'))
    seen = []
    for weight in (1.0, 2.0, 3.0, 4.0, 9.0):
        model.weight.data.fill_(weight)
        held.follow(model)
        seen.append(teacher.weight.item())
    # means of 1; 1, 2; 1, 2, 3; 1 to 4; then 0.75 * 2.5 + 0.25 * 9
    assert seen == pytest.approx([1.0, 1.5, 2.0, 2.5, 4.125])


def test_a_disturbed_copy_keeps_one_modality_and_has_features_at_their_means():
    held = cases.samples(400)
    beside = Unlabelled(held, SemiSettings(feature_dropout=0.25, modality_dropout=0.9))
    beside.begin(torch.nn.Linear(1, 1), torch.device('cpu'))
    batch = held.batch(torch.arange(400))
    some = {'audio': torch.arange(400) % 2 == 0}
    thin = beside.thinned(replace(batch, keep_mask=some), torch.Generator().manual_seed(0))
    kept = torch.stack([thin.keep_mask[name] for name in held.features], dim=1)
    assert kept.any(dim=1).all()
    assert not (thin.keep_mask['audio'] & ~some['audio']).any()
    # Of three (or two) modalities one always stays, the others with probability 0.1.
    assert kept.double().sum(dim=1).mean().item() == pytest.approx(1 + 0.1 * 1.5, abs=0.06)
    means = held.features['text'].mean(dim=0)
    at_mean = torch.isclose(thin.features['text'], means.expand(400, -1), atol=1e-6).double().mean().item()
    assert at_mean == pytest.approx(0.25, abs=0.03)
    noisy = beside.disturbed(batch, 0.5, torch.Generator().manual_seed(0))
    ratio = (noisy.features['text'] - batch.features['text']).std(dim=0) / batch.features['text'].std(dim=0)
    torch.testing.assert_close(ratio, torch.full((7,), 0.5), atol=0.08, rtol=0)


def test_the_surest_of_each_category_are_taken_and_capped_at_their_share_of_the_labels():
    class Says(torch.nn.Module):
        def forward(self, features, keep_mask=None):
            from affekt.fusion import Fused

            return Fused(features['text'], features['text'], features['text'][:, :0])

    # guesses 0 with odds 4 3 2 1, and 1 with odds 2 1
    odds = torch.tensor([[4.0, 0], [3, 0], [0, 2], [2, 0], [0, 1], [1, 0]])
    unlabelled = Samples({'text': odds}, names=tuple('abcdef'))
    labelled = Samples({'text': odds[:4]}, torch.tensor([0, 1, 1, 1]))

    def names(**changes):
        found, _ = pseudo_labelled(Says(), unlabelled, labelled, replace(PSEUDO, **changes))
        return ''.join(found.names)

    assert names() == 'abcdef'
    assert names(threshold=0.88) == 'abcd'  # sigmoid(2) = 0.881
    assert names(share=0.5) == 'abc'
    # Four are chosen; a quarter of the labels is category 0, so one of them stays, the surest.
    assert names(threshold=0.88, balanced=True) == 'ac'
    assert pseudo_labelled(Says(), unlabelled, labelled, replace(PSEUDO, threshold=0.99)) is None


def test_where_no_guess_is_sure_the_model_of_labelled_samples_is_what_there_is():
    parts = cases.samples(40), cases.samples(60, 1), cases.samples(40, 2)
    found = train_semi(cases.model(), *parts, replace(cases.SETTINGS, epochs=1), replace(PSEUDO, threshold=0.999))
    assert [one.guessed for one in found.rounds] == [()]


@pytest.mark.parametrize('kind', ['pseudo', 'consistency'])
def test_a_run_killed_in_any_round_goes_on_to_the_same_numbers(kind, killed_process, tmp_path):
    whole = cases.semi_run(kind)
    killed_process(cases.semi_killed, kind, str(tmp_path), 1, 3)
    resumed = cases.semi_run(kind, folder=tmp_path, resume=True)
    assert [held.trained.history for held in resumed.rounds] == [held.trained.history for held in whole.rounds]
    for name, value in whole.best.model.state_dict().items():
        assert torch.equal(resumed.best.model.state_dict()[name], value), name
    with pytest.raises(RunError, match='semi'):
        cases.semi_run(kind, folder=tmp_path, resume=True, weight=0.5)


@pytest.mark.parametrize(
    'wrong',
    [
        {'threshold': 1.0}, {'share': 0.0}, {'ratio': 0}, {'rounds': 0}, {'weak_noise': -1.0}, {'teacher_decay': 1.0},
        {'weight': 0.0}, {'feature_dropout': 1.0},
    ],
)  # fmt: skip
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueRangeError):
        SemiSettings(**wrong)
    with pytest.raises(UnknownNameError, match='pseudo or consistency'):
        SemiSettings('magic')


def test_the_teacher_of_the_best_epoch_is_what_comes_back():
    parts = clusters(9, 1), clusters(60, 2), clusters(60, 3)
    settings = replace(SETTINGS, epochs=3, score='loss', patience=None)
    best = train_semi(small(), *parts[:1], parts[2], parts[1], settings, SemiSettings(teacher_decay=0.9)).best
    assert SCORES['loss'](predict(best.model, parts[1]), parts[1]) == pytest.approx(best.best_score, abs=1e-6)


def test_the_record_of_unlabelled_samples_changes_with_them_though_one_lacks_a_modality():
    def digest(value):
        features, present = torch.tensor([[torch.nan], [value]]), torch.tensor([False, True])
        samples = Samples({'text': features, 'voice': torch.ones(2, 1)}, present={'text': present})
        return Unlabelled(samples, SemiSettings()).facts()['unlabelled']['digest']

    assert digest(1.0) == digest(1.0) != digest(2.0)

"""What is fast is also the same: `train` against a loop written out plainly, with torch's own optimiser."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import training_cases as cases

from affekt.fusion import FusionShape, build_fusion
from affekt.training import predict, train
from affekt.training.supervised import epoch_seed


def _plain(model, training, settings) -> list[float]:
    """Mean loss of each epoch: batches by index, everything scaled and masked at each step, nothing kept at hand."""
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    found = []
    model.train()
    for epoch in range(1, settings.epochs + 1):
        order = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch, 0))
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(epoch_seed(settings.seed, epoch, 1))
            for index in torch.randperm(len(training), generator=order).split(settings.batch_size):
                features = {name: value[index] for name, value in training.features.items()}
                keep = {name: torch.ones(len(index), dtype=torch.bool) for name in features}
                fused = model(features, keep)
                loss = torch.nn.functional.cross_entropy(fused.logits, training.labels[index])
                loss = loss + (fused.values - training.values[index]).square().mean() + fused.auxiliary
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
                optimiser.step()
                total += loss.item() * len(index)
        found.append(total / len(training))
    return found


@pytest.mark.parametrize('form', ['reference', 'corrected'])
@pytest.mark.parametrize('name', ['attention', 'lf_dnn', 'lmf', 'mmim'])
def test_training_equals_a_plain_loop(name, form):
    settings = replace(cases.SETTINGS, clip_norm=0.5)
    training, validation = cases.samples(), cases.samples(40, 1)
    plain = cases.model(name, form=form)
    if form == 'corrected':
        plain.standardise_on(training.features)
    expected = _plain(plain, training, settings)
    trained = train(cases.model(name, form=form), training, validation, settings)
    assert [row['training_loss'] for row in trained.history] == pytest.approx(expected, abs=1e-6)
    if trained.best_epoch == settings.epochs:
        torch.testing.assert_close(predict(trained.model, validation).logits, predict(plain, validation).logits)


def test_the_turned_product_of_wide_layers_changes_nothing_but_rounding():
    torch.manual_seed(0)
    shape = FusionShape({'audio': 600, 'text': 700, 'video': 40}, 3, dropout=0.0)
    model = build_fusion('attention', shape)
    rows = {name: torch.randn(140, size) for name, size in shape.sizes.items()}
    gradients = []
    for parts in (rows,), tuple({name: value[i : i + 70] for name, value in rows.items()} for i in (0, 70)):
        model.zero_grad()
        answers = [model(part) for part in parts]  # 140 rows at once are not turned, 70 are
        logits = torch.cat([each.logits for each in answers])
        logits.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

"""Steps over any batches: right gradients, and the same numbers after a kill at any step."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import engine_cases as cases
import pytest
import torch
from torch import nn

from affekt.errors import RunError, StorageError, TrainingError, UnknownNameError, ValueRangeError
from affekt.files import part_of
from affekt.nn import save_tensors
from affekt.training.checkpoints import last_step, save_step, step_files
from affekt.training.curves import ScalarLog, curve_svg, read_log, write_curves
from affekt.training.engine import Engine, on_device
from affekt.training.schedules import layered_groups
from affekt.training.settings import EngineSettings

PLAIN = EngineSettings(log_every=1)


def _whole(kind: str):
    own = cases.engine()
    return own, own.run(cases.batches(kind), steps=24)


class Stopped(Exception):
    """Ends a run in the middle."""


def _stopped(_, kind: str, folder: Path, step: int) -> None:
    def stop(_, done, total):
        if done == step:
            raise Stopped

    with pytest.raises(Stopped) as stopped:
        cases.engine().run(cases.batches(kind), steps=24, folder=folder, progress=stop)
    last = step - step % cases.SETTINGS.save_every
    kept = f'the checkpoint of step {last} is kept' if last else 'no checkpoint is written yet'
    assert stopped.value.__notes__ == [f'{kept} in {folder}']


def _killed(killed_process, kind: str, folder: Path, step: int) -> None:
    killed_process(cases.killed_at, kind, str(folder), step)


@pytest.mark.parametrize(
    ('end', 'kind', 'step'),
    [(_killed, 'order', 13), (_stopped, 'order', 3), (_stopped, 'stateful', 9), (_stopped, 'plain', 16)],
)
def test_a_run_killed_at_any_step_goes_on_to_the_same_numbers(end, kind, step, killed_process, tmp_path):
    end(killed_process, kind, tmp_path / 'run', step)
    # Other weights must come from the checkpoint, which the first 4 steps do not have yet.
    resumed = cases.engine(seed=0 if step < 4 else 70)
    rows = resumed.run(cases.batches(kind), steps=24, folder=tmp_path / 'run', resume=True)
    whole, expected = _whole(kind)
    assert rows == expected == read_log(tmp_path / 'run' / 'log.jsonl')
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    for name, value in whole.average.tensors.items():
        assert torch.equal(resumed.average.tensors[name], value), name


def test_the_last_checkpoints_are_kept_and_a_damaged_one_gives_way_to_the_one_before(tmp_path, caplog):
    _, expected = _whole('order')
    cases.engine().run(cases.batches('order'), steps=24, folder=tmp_path)
    assert [path.name for path in step_files(tmp_path)] == [
        'step-000000020.safetensors', 'step-000000024.safetensors'
    ]  # fmt: skip
    assert not list(tmp_path.glob('*.p*kl*')) + list(tmp_path.glob('*.pt'))
    step_files(tmp_path)[-1].write_bytes(b'half a file')
    again = cases.engine(seed=1).run(cases.batches('order'), steps=24, folder=tmp_path, resume=True)
    assert again == expected
    assert 'cannot be read; the run goes on from the checkpoint before' in caplog.text


def test_a_checkpoint_of_another_format_and_a_run_of_other_settings_are_refused(tmp_path):
    cases.engine().run(cases.batches('order'), steps=4, folder=tmp_path)
    with pytest.raises(RunError, match='other values for steps'):
        cases.engine().run(cases.batches('order'), steps=5, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match='a run in'):
        cases.engine().run(cases.batches('order'), steps=4, folder=tmp_path)
    tensors, _ = last_step(tmp_path)
    save_step(tmp_path, 9, tensors, {}, 5)
    file = step_files(tmp_path)[-1]
    file.write_bytes(file.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 7'))
    with pytest.raises(TrainingError, match='format 7 in step-000000009'):
        last_step(tmp_path)


def test_a_damaged_checkpoint_of_a_later_step_never_outlives_a_good_one(tmp_path):
    cases.engine(settings=replace(PLAIN, save_every=1, keep=1)).run([cases.ROWS[:8]] * 3, steps=3, folder=tmp_path)
    (tmp_path / 'step-000000007.safetensors').write_bytes(b'half a file')
    (tmp_path / 'step-of-mine.safetensors').write_bytes(b'')  # of somebody else: it is neither read nor removed
    tensors, notes = last_step(tmp_path)
    save_step(tmp_path, 4, tensors, notes, 1)
    assert [path.name for path in step_files(tmp_path)] == ['step-000000004.safetensors']
    assert (tmp_path / 'step-of-mine.safetensors').exists()


def _linear_run(folder, optimiser=torch.optim.AdamW, size=6, learning_rate=1e-2, **layers):
    model = torch.nn.Linear(6, size)
    for name, layer in layers.items():
        setattr(model, name, layer)

    def losses(model, rows):
        return {'square': model(rows).square().mean()}

    own = Engine(model, optimiser(model.parameters(), lr=learning_rate), losses, PLAIN)
    return own.run([cases.ROWS[:8]] * 4, steps=4, folder=folder, resume=True)


def test_a_run_goes_on_with_its_own_model_and_optimiser_alone(tmp_path):
    _linear_run(tmp_path)
    with pytest.raises(TrainingError, match=r'expected a checkpoint of this model; got .*size mismatch'):
        _linear_run(tmp_path, size=12)
    with pytest.raises(RunError, match='other values for optimiser'):  # has a group of more parameters
        _linear_run(tmp_path, more=torch.nn.Linear(3, 3))
    with pytest.raises(
        TrainingError, match=r'expected a checkpoint of this model; got .*Missing key.*norm.running_mean'
    ):
        _linear_run(tmp_path, norm=torch.nn.BatchNorm1d(6, affine=False))
    with pytest.raises(RunError, match='other values for optimiser'):
        _linear_run(tmp_path, torch.optim.SGD)
    with pytest.raises(RunError, match='other values for optimiser'):
        _linear_run(tmp_path, learning_rate=1e-3)
    assert len(_linear_run(tmp_path)) == 4


class CountingAdamW(torch.optim.AdamW):
    """Counts its steps in a plain number, as optimisers of other libraries do."""

    def step(self, closure=None):
        super().step(closure)
        for state in self.state.values():
            state['count'] = state.get('count', 0) + 1


def test_what_an_optimiser_remembers_in_plain_numbers_is_kept(tmp_path):
    model = torch.nn.Linear(6, 6)
    for steps in (3, 4):
        own = Engine(model, CountingAdamW(model.parameters()), cases.plain_loss, PLAIN)
        if steps == 4:
            own.restore(*last_step(tmp_path))
        own.run([cases.ROWS[:8]] * 4, steps=steps, folder=tmp_path if steps == 3 else None)
    assert {state['count'] for state in own.optimiser.state.values()} == {4}


@pytest.mark.parametrize(
    ('notes', 'tensors'),
    [
        ({'random': []}, {}), ({'batches': 'many'}, {}), ({'batches': None}, {}), ({'places': {}}, {}),
        ({}, {'optimiser.99.exp_avg': torch.ones(3)}), ({}, {'optimiser.odd': torch.ones(3)}),
        ({}, {'random.0.cpu': torch.ones(3)}), ({}, {'model.odd': torch.ones(3)}),
    ],
)  # fmt: skip
def test_a_checkpoint_that_fits_no_run_is_refused_in_one_sentence(notes, tensors, tmp_path):
    _linear_run(tmp_path)
    kept, old = last_step(tmp_path)
    save_step(tmp_path, 4, kept | tensors, old | notes, 1)
    with pytest.raises(TrainingError, match=r'expected a checkpoint of this (model|optimiser|run); got .*build it as'):
        _linear_run(tmp_path)


@pytest.mark.parametrize('notes', ['[]', '[' * 100_000, '{', '7'])
def test_a_checkpoint_with_unreadable_notes_gives_way_to_the_one_before(notes, tmp_path):
    _linear_run(tmp_path)
    save_tensors(tmp_path / 'step-000000009.safetensors', {'odd': torch.ones(1)}, {'notes': notes})
    assert last_step(tmp_path)[1]['step'] == 4


def test_a_run_that_stops_at_the_end_of_its_batches_has_taken_them_all():
    rows = cases.engine(settings=replace(PLAIN, accumulation=3)).run([cases.ROWS[:8]] * 7, steps=100)
    assert [row['step'] for row in rows] == [1, 2, 3]


def test_endless_batches_are_read_no_further_than_needed():
    taken = []
    endless = (taken.append(n) or cases.ROWS[:8] for n in count())
    cases.engine(settings=replace(PLAIN, accumulation=2)).run(endless, steps=3)
    assert taken == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize('parts', [(16, 16), (4, 20, 8), (32,)])
def test_the_gradient_of_several_batches_is_that_of_all_their_samples(parts):
    whole = cases.Autoencoder(dropout=0.0)
    cases.plain_loss(whole, cases.ROWS[:32])['square'].backward()
    model = cases.Autoencoder(dropout=0.0)
    optimiser = torch.optim.SGD(model.parameters(), 0.0)
    engine = Engine(model, optimiser, cases.plain_loss, replace(PLAIN, accumulation=len(parts)), weigh=len)
    (step,) = engine.steps(cases.ROWS[:32].split(parts))
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    expected = cases.plain_loss(whole, cases.ROWS[:32])['square'].item()
    assert engine.mean_losses([step]) == pytest.approx({'square': expected, 'loss': expected}, rel=1e-6)


@pytest.mark.parametrize('parts', [(16, 16), (4, 20, 8), (32,)])
def test_several_batches_give_each_loss_over_all_the_samples_that_have_it(parts):
    # samples 0 to 9 alone have `some`, so that a batch has many, few or none of them; `never` is of none
    rows = torch.cat([torch.arange(32.0).unsqueeze(1), cases.ROWS[:32, 1:]], dim=1)

    def has_some(batch):
        return batch[:, 0] < 10

    def losses(model, batch):
        squares = (model(batch) - batch).square().mean(dim=1)
        some = squares[has_some(batch)]
        return {'always': squares.mean(), 'some': 3 * some.mean() if len(some) else None, 'never': None}

    whole = cases.Autoencoder(dropout=0.0)
    expected = losses(whole, rows)
    (expected['always'] + expected['some']).backward()
    model = cases.Autoencoder(dropout=0.0)
    counts = {'some': lambda batch: int(has_some(batch).sum()), 'never': lambda batch: 0}
    settings = replace(PLAIN, accumulation=len(parts))
    engine = Engine(model, torch.optim.SGD(model.parameters(), 0.0), losses, settings, weigh=len, weigh_losses=counts)
    (step,) = engine.steps(rows.split(parts))
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
    always, some = expected['always'].item(), expected['some'].item()
    means = {'always': always, 'some': some, 'never': math.nan, 'loss': always + some}
    assert engine.mean_losses([step]) == pytest.approx(means, rel=1e-5, nan_ok=True)


def test_a_step_is_that_of_a_loop_written_out_plainly():
    ours, plain = cases.engine(settings=PLAIN, losses=cases.plain_loss, dropout=0.0), cases.Autoencoder(dropout=0.0)
    groups = [
        {'params': [plain.first.weight], 'lr': 5e-3, 'weight_decay': 0.1},
        {'params': [plain.first.bias], 'lr': 5e-3, 'weight_decay': 0.0},
        {'params': [plain.second.weight], 'lr': 1e-2, 'weight_decay': 0.1},
        {'params': [plain.second.bias], 'lr': 1e-2, 'weight_decay': 0.0},
    ]
    optimiser = torch.optim.AdamW(groups)
    rows = ours.run(cases.ROWS.split(16), steps=4)
    for row, batch in zip(rows, cases.ROWS.split(16), strict=True):
        optimiser.zero_grad()
        loss = cases.plain_loss(plain, batch)['square']
        loss.backward()
        optimiser.step()
        assert row['loss'] == loss.item()
    for one, other in zip(ours.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_schedule_sets_every_groups_rate_and_the_log_says_the_first():
    own = cases.engine(settings=replace(cases.SETTINGS, log_every=1, accumulation=1))
    rows = own.run(cases.batches('order'), steps=5)
    assert [row['learning_rate'] for row in rows[:4]] == pytest.approx([5e-3 * share for share in (0.25, 0.5, 0.75, 1)])
    assert own.optimiser.param_groups[-1]['lr'] == pytest.approx(2 * rows[-1]['learning_rate'])
    assert all(row['gradient_norm'] > 0 for row in rows)


def test_evaluation_sees_the_averaged_weights_and_leaves_the_model_as_it_was():
    seen = []

    def evaluate(model):
        assert not model.training
        seen.append(model.first.weight.clone())
        return {'seen': len(seen)}

    own = cases.engine()
    rows = own.run(cases.batches('order'), steps=4, evaluate=evaluate)
    assert [row['seen'] for row in rows] == [1, 2]
    seldom = cases.engine(settings=replace(PLAIN, evaluate_every=2))
    evaluated = seldom.run(cases.batches('order'), steps=5, evaluate=lambda _: {'score': 1.0})
    assert [row['step'] for row in evaluated if 'score' in row] == [2, 4, 5]
    assert own.model.training
    assert torch.equal(seen[-1], own.average.tensors['first.weight'])
    assert not torch.equal(own.model.first.weight, seen[-1])


def test_the_callers_generators_stand_where_they_stood():
    torch.manual_seed(4)
    expected = torch.rand(1)
    own, _ = cases.engine(), torch.manual_seed(4)
    own.run(cases.batches('order'), steps=2)
    assert torch.rand(1) == expected


@pytest.fixture(scope='module')
def of_two_processes(tmp_path_factory, on_loaded_processes) -> Path:
    """What two processes wrote that trained together, and then came apart."""
    folder = tmp_path_factory.mktemp('ranks')
    on_loaded_processes(2, cases.on_ranks_and_apart, str(folder))
    return folder


def test_several_processes_take_the_steps_of_one_and_go_on_whether_each_has_the_model_or_a_part(of_two_processes):
    settings = EngineSettings(clip_norm=0.1, log_every=1, average_decay=0.9)
    alone = cases.engine(0, settings, cases.plain_loss, dropout=0.0)
    rows = alone.run((cases.ROWS[index] for index in cases.IndexBatches(64, 8, seed=5)), steps=6)
    theirs, _ = alone.state()
    for name in ('copied', 'spread'):
        log = read_log(of_two_processes / name / 'log.jsonl')
        assert len(log) == 6
        for ours, expected in zip(log, rows, strict=True):
            assert ours == pytest.approx(expected, abs=1e-5)
        ours, _ = last_step(of_two_processes / name)
        assert theirs.keys() <= ours.keys()
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=1e-5)


def test_processes_that_come_apart_all_say_so(of_two_processes):
    for rank, own in ((0, 1), (1, 0)):
        said = json.loads((of_two_processes / f'{rank}.json').read_text())
        uneven = f'expected as many batches in every process; got {own} for step 4 in rank {rank}, 1 in all 2'
        assert [text.split(';')[1] for text in said[:3]] == [uneven.split(';')[1]] * 3
        assert ['those of steps [2, None]' in text for text in said[3:]] == [True]


def test_the_mean_of_a_loss_is_over_the_processes_that_have_it(of_two_processes):
    for rank in (0, 1):
        row = json.loads((of_two_processes / f'row-{rank}.json').read_text())
        assert (row['always'], row['of the first'], row['loss']) == (3.0, 2.0, 4.0)  # (3 + 2 + 3) / 2 is minimised
        assert math.isnan(row['of none'])


def test_processes_with_other_losses_take_the_same_steps_whether_each_has_the_model_or_a_part(of_two_processes):
    files = sorted(of_two_processes.glob('whole *.pt'))
    assert len(files) == 3
    for file in files:
        whole, parts = (torch.load(file.with_name(file.name.replace('whole', name))) for name in ('whole', 'parts'))
        assert whole.keys() == parts.keys()
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-6)


def _no_number(model, rows):
    return {'square': (model(rows) - rows).square().mean(dim=1)}


def _no_loss(model, rows):
    return {}


class _Changing:
    """Losses that have another name at each step."""

    def __init__(self):
        self.step = 0

    def __call__(self, model, rows):
        self.step += 1
        return {f'square{self.step}': (model(rows) - rows).square().mean()}


@pytest.mark.parametrize(
    ('losses', 'came'), [(_no_number, r"shapes {'square': \(8,\)}"), (_no_loss, 'no loss'), (_Changing(), "'square2'")]
)
def test_losses_that_are_no_numbers_of_the_same_names_at_each_step_are_refused(losses, came):
    with pytest.raises(TrainingError, match=f'expected a number for each of .*at every step; got {came}'):
        cases.engine(settings=replace(PLAIN, accumulation=2), losses=losses).run([cases.ROWS[:8]] * 4, steps=2)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    def root(model, rows):  # 0, with a gradient that is no number
        return {'root': (model(rows) * 0).square().sum().sqrt()}

    with pytest.raises(TrainingError, match=r"expected finite weights; got others in 'first\.weight'"):
        cases.engine(settings=PLAIN, losses=root, dropout=0.0).run([cases.ROWS[:8]], steps=1, folder=tmp_path)
    assert step_files(tmp_path) == []


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='this system has no /dev/full')
def test_a_log_that_has_no_room_says_so(tmp_path):
    log = ScalarLog(tmp_path / 'log.jsonl')
    log._path = Path('/dev/full')
    with pytest.raises(StorageError, match='room on the disk'):
        log.add({'step': 1.0})


def test_a_loss_that_is_no_number_ends_the_run_and_is_logged_and_drawn_as_a_gap(tmp_path):
    def broken(model, rows):
        return {'odd': model(rows).sum() * math.nan}

    with pytest.raises(TrainingError, match='expected finite losses; got nan up to step 1'):
        cases.engine(settings=PLAIN, losses=broken).run([cases.ROWS[:8]] * 2, steps=2, folder=tmp_path)
    (first,) = read_log(tmp_path / 'log.jsonl')
    assert math.isnan(first['odd'])
    assert json.loads((tmp_path / 'log.jsonl').read_text())['odd'] is None
    assert step_files(tmp_path) == []
    assert 'No finite number' in curve_svg([(1.0, math.nan)], 'odd')
    assert '1e+30 at last' in curve_svg([(1.0, 1e30)], 'odd')  # half of 1 is lost in rounding there
    assert curve_svg([(1.0, 2.0), (2.0, math.nan), (3.0, 2.5), (4.0, 1.0)], 'odd').count('<polyline') == 2


def test_a_loss_without_anything_to_compute_it_from_is_not_0_but_not_measured(tmp_path):
    # the first two of four batches have `some`: (3 + 5) / 2 = 4; `both` is minimised, (1 + 3 + 1 + 5 + 1 + 1) / 4 = 3
    values = iter([3.0, 5.0, None, None])

    def losses(model, rows):
        one, some = model(rows).sum() * 0 + 1.0, next(values)
        return {'always': one, 'some': None if some is None else one * some, 'never': None}

    settings = replace(PLAIN, log_every=2, accumulation=2)
    rows = cases.engine(settings=settings, losses=losses).run([cases.ROWS[:8]] * 4, steps=2, folder=tmp_path)
    assert rows[0] == pytest.approx(
        {**rows[0], 'always': 1.0, 'some': 4.0, 'never': math.nan, 'loss': 3.0}, nan_ok=True
    )
    (line,) = (tmp_path / 'log.jsonl').read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)['never'] is None
    page = (tmp_path / 'curves.html').read_text()
    assert 'Never measured: never.' in page
    assert re.findall('<h2>([^<]*)', page) == ['always', 'some', 'loss', 'learning rate']


def test_a_run_with_its_last_checkpoint_has_its_page(tmp_path, monkeypatch):
    def torn(*_: object) -> None:
        raise StorageError(expected='room', came='none', todo='make some')

    monkeypatch.setattr('affekt.training.engine.save_step', torn)
    with pytest.raises(StorageError):
        cases.engine(settings=PLAIN).run([cases.ROWS[:8]], steps=1, folder=tmp_path)
    assert (tmp_path / 'curves.html').exists()


def test_a_step_without_any_loss_changes_nothing_by_its_gradient():
    own = cases.engine(settings=PLAIN, losses=lambda model, rows: {'none': None})
    (step,) = own.steps([cases.ROWS[:8]])
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in own.model.parameters())
    assert own.mean_losses([step]) == pytest.approx({'none': math.nan, 'loss': 0.0}, nan_ok=True)


def test_a_model_without_weights_to_train_is_refused_at_once():
    model = nn.Linear(2, 1)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    model.requires_grad_(False)
    with pytest.raises(TrainingError, match='weights of Linear to train; got a model whose weights are all frozen'):
        Engine(model, optimiser, lambda model, batch: {'a': None}, EngineSettings())
    model.requires_grad_(True)
    engine = Engine(model, optimiser, lambda model, batch: {'a': None}, EngineSettings())
    model.requires_grad_(False)  # frozen later, such as a stage of a curriculum
    with pytest.raises(TrainingError, match='whose weights are all frozen'):
        engine.run([torch.zeros(1)], steps=1)


def test_gaps_of_a_long_curve_stay_out_of_its_means(tmp_path):
    points = [(float(step), math.nan if step % 2 else 4.0) for step in range(1, 4001)]
    assert curve_svg(points, 'video').count('<polyline') == 1
    assert 'video: 4 at first, 4 at last' in curve_svg(points, 'video')


def test_a_page_holds_a_curve_for_every_number_and_nothing_from_outside(tmp_path):
    rows = [{'step': float(step), 'loss': 1 / step, '<b>': 2.0} for step in range(1, 5001)]
    write_curves(rows, tmp_path / 'page.html', title='a <run>')
    page = (tmp_path / 'page.html').read_text()
    assert '<h2>&lt;b&gt;</h2>' in page
    assert 'a &lt;run&gt;' in page
    assert page.count('<polyline') == 2
    assert 'http' not in page.replace('http-equiv', '')
    assert len(page) < 100_000  # each point of a long run is a mean of several


def test_a_page_says_what_is_always_0_and_draws_a_sum_of_one_loss_once(tmp_path):
    rows = [{'step': float(step), 'audio': 1 / step, 'loss': 1 / step, 'unread': 0.0} for step in range(1, 9)]
    write_curves(rows, tmp_path / 'page.html', title='run')
    page = (tmp_path / 'page.html').read_text()
    assert page.count('<polyline') == 1
    assert 'Always 0: unread.' in page
    assert '<dt>unread</dt>' not in page
    of_epochs = [
        {'step': at, 'epoch': at, 'training': 1 / at, 'loss': 1 / at, 'uar': at, 'score': at} for at in (1.0, 2.0)
    ]
    write_curves(of_epochs, tmp_path / 'history.html', title='tuned')
    assert re.findall('<h2>([^<]*)', (tmp_path / 'history.html').read_text()) == ['training', 'UAR']
    write_curves([{'step': 10.0, 'learning_rate': 0.5}], tmp_path / 'one.html', title='run')
    page = (tmp_path / 'one.html').read_text()
    assert '<dt>learning rate</dt><dd>0.5</dd>' in page
    assert re.findall('class="tick">([^<]*)', page) == ['0', '0.5', '1', 'step 10']


def test_what_a_killed_run_had_not_written_whole_is_removed(tmp_path):
    cases.engine().run(cases.batches('order'), steps=4, folder=tmp_path)
    part = part_of(tmp_path / 'step-000000006.safetensors')
    part.write_bytes(b'half')
    cases.engine().run(cases.batches('order'), steps=4, folder=tmp_path, resume=True)
    assert not part.exists()
    assert [path.name for path in step_files(tmp_path)] == ['step-000000004.safetensors']


@pytest.mark.parametrize(
    'wrong',
    [
        {'accumulation': 0}, {'log_every': 3, 'save_every': 10}, {'evaluate_every': 7}, {'clip_norm': 0.0},
        {'average_decay': 1.0}, {'keep': 0}, {'clip_value': -1.0}, {'save_every': 0},
    ],
)  # fmt: skip
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueRangeError, match=next(iter(reversed(wrong)))):
        EngineSettings(**wrong)
    with pytest.raises(UnknownNameError, match='bfloat16'):
        EngineSettings(precision='float8')


def test_the_example_of_the_page_on_training_runs_and_goes_on(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / 'docs' / 'training.md').read_text()
    (example,) = re.findall(r'```python\n(.*?)```', page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {}
    exec(example, names)
    assert names['history'][-1]['masked'] < names['history'][0]['masked']
    assert {path.name for path in (tmp_path / 'runs' / 'pretraining').iterdir()} >= {
        'settings.json', 'log.jsonl', 'curves.html', 'step-000000200.safetensors'
    }  # fmt: skip


def test_losses_in_half_precision_are_scaled_and_go_on_with_their_scale(tmp_path, monkeypatch):
    monkeypatch.setattr('affekt.training.engine.usable_precision', lambda device, wanted: wanted)
    settings = replace(cases.SETTINGS, precision='float16', save_every=2)

    def run(folder, seed, **named):
        own = cases.engine(seed, settings)
        return own, own.run(cases.batches('order'), steps=8, folder=folder, **named)

    def stop(_, done, total):
        if done == 5:
            raise Stopped

    whole, expected = run(tmp_path / 'whole', 0)
    assert whole.precision == 'float16'
    with pytest.raises(Stopped):
        run(tmp_path / 'half', 0, progress=stop)
    resumed, rows = run(tmp_path / 'half', 9, resume=True)
    assert rows == expected
    assert last_step(tmp_path / 'half')[1]['scaler'] == last_step(tmp_path / 'whole')[1]['scaler'] != {}
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_batches_of_any_shape_are_moved_to_the_device():
    class Pair(NamedTuple):
        rows: torch.Tensor
        name: str

    moved = on_device(
        {'a': [torch.zeros(2), Pair(torch.zeros(3), 'x')], 'b': (torch.zeros(1), None)}, torch.device('meta')
    )
    assert moved['a'][0].is_meta
    assert moved['a'][1].rows.is_meta
    assert moved['a'][1].name == 'x'
    assert moved['b'][0].is_meta
    assert moved['b'][1] is None

    class Own(dict):
        def to(self, device):
            return 'moved by itself'

    assert on_device([Own()], torch.device('meta')) == ['moved by itself']


def test_weights_that_are_not_trained_are_neither_saved_nor_averaged(tmp_path):
    model = cases.Autoencoder(dropout=0.0)
    model.first.requires_grad_(False)
    settings = replace(PLAIN, average_decay=0.5)
    optimiser = torch.optim.AdamW(layered_groups(model, [], learning_rate=1e-2))
    Engine(model, optimiser, cases.plain_loss, settings).run([cases.ROWS[:8]] * 3, steps=3, folder=tmp_path)
    tensors, _ = last_step(tmp_path)
    assert not [name for name in tensors if 'first' in name]
    assert {'model.second.weight', 'average.second.weight', 'optimiser.0.exp_avg'} <= tensors.keys()

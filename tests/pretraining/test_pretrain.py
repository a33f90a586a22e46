"""Pre-training: published rates and masks, the same numbers after a kill and on several processes, counted gaps."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretrain_cases as cases
import pytest
import torch
from torch.distributed.run import parse_args

from affekt.checkpoints import opened
from affekt.cli.pretraining import pretrain_command
from affekt.clips import Clip
from affekt.encoders import RUN_WEIGHTS
from affekt.errors import CorpusError, RunError, ShapeError, ValueRangeError, WeightsError
from affekt.nn import read_tensors
from affekt.pretraining import HicmaePretraining, pretraining_from
from affekt.pretraining.forms import hicmae_base
from affekt.pretraining.masked_batches import EpochBatches, MaskedBatch, MaskedClips, surveyed
from affekt.pretraining.masked_settings import PretrainingSettings, decay_groups
from affekt.pretraining.masked_training import masked_losses, new_network, pretrain
from affekt.pretraining.rebuilding import contrast
from affekt.training import losses_in_words

PAGE = (Path(__file__).parents[2] / 'docs' / 'pretraining.md').read_text()


def made(form=cases.FORM, clips=None, **changes) -> MaskedClips:
    clips = cases.clips() if clips is None else clips
    return MaskedClips(form, clips, surveyed(clips, form).readable, replace(cases.SETTINGS, **changes))


def test_rates_are_those_of_the_published_runs():
    # HiCMAE: 3e-4 x 160/256 = 1.875e-4, floor 1e-5 x 160/256, 5 of 100 epochs of warm-up; 6,822 steps an epoch
    settings = PretrainingSettings()
    schedule = settings.schedule(682_200, 6_822)
    assert settings.scaled_rate == pytest.approx(1.875e-4, rel=1e-12)
    assert schedule.warm_up == 34_110
    assert settings.scaled_rate * schedule.share(682_200) == pytest.approx(1e-5 * 160 / 256, rel=1e-12)
    assert settings.schedule(40, 2).warm_up == 4  # a tenth of 20 epochs
    with pytest.raises(ValueRangeError, match='a warm-up shorter'):
        PretrainingSettings(warm_up_epochs=5).schedule(10, 2)


def test_vectors_and_mask_tokens_are_not_decayed_but_by_the_published_oversight():
    with torch.device('meta'):
        model = new_network(hicmae_base(), PretrainingSettings())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for is_published in (False, True):
        decayed, spared = decay_groups(model, PretrainingSettings(decays_audio_mask_token=is_published))
        assert all(p.ndim > 1 for p in decayed['params'])
        tokens = {names[id(p)] for p in spared['params'] if p.ndim > 1}
        assert tokens == ({'mask_token'} if is_published else {'mask_token', 'mask_token_audio'})
        assert spared['weight_decay'] == 0.0
        assert decayed['weight_decay'] == 0.05


def test_a_sample_depends_on_seed_epoch_and_clip_alone():
    first, again, other = made(), made(workers=0), made(seed=1)
    places = [[(0, 3), (0, 5)], [(1, 3), (2, 11)]]
    for ours, theirs in zip(first.batches(places), again.batches(places), strict=True):
        for one, two in zip(ours.parts[0], theirs.parts[0], strict=True):
            assert torch.equal(one, two)
    alone = first.batch([first.sample((0, 5))]).parts[0]
    beside = next(iter(first.batches(places))).parts[0]
    assert torch.equal(alone.video[0], beside.video[1])
    assert not torch.equal(first.sample((0, 5)).video_mask, first.sample((1, 5)).video_mask)
    assert not torch.equal(first.sample((0, 5)).audio_mask, other.sample((0, 5)).audio_mask)


def test_counts_of_hidden_tokens_are_the_published_ones():
    clips = cases.clips(2, size=16)
    part = made(hicmae_base(), clips, video_mask=0.9).sample((0, 1))
    assert part.video_mask.sum() == 8 * 90
    assert part.audio_mask.sum() == 102
    assert part.video.shape == (1, 3, 16, 160, 160)
    assert part.audio.shape == (1, 1, 256, 128)


@pytest.mark.parametrize(('features', 'expected'), [({}, 'float32'), ({'avx512_bf16': True}, 'bfloat16')])
def test_half_precision_is_taken_by_itself_only_where_the_processor_has_it(features, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: features, raising=False)
    settings = replace(cases.SETTINGS, precision='auto', steps=1, workers=0, snapshot_every=None)
    pretrain(replace(cases.FORM, modalities=('audio',)), cases.clips(4, video=False), settings, folder=tmp_path)
    assert json.loads((tmp_path / 'settings.json').read_text())['settings']['precision'] == expected


def test_places_name_their_epoch():
    order = EpochBatches(5, 2, seed=3)
    epochs = [batch[:, 0].tolist() for batch, _ in zip(order.starting_at(1), range(4), strict=False)]
    assert epochs == [[0, 0], [1, 1], [1, 1], [2, 2]]


def test_clips_that_lack_something_are_parted_and_counted():
    silent = replace(cases.clips(1)[0], frames=None, times_s=None, sound=np.zeros(20_000, np.float32))
    masked = made(clips=[*cases.mixed_clips(6), silent])
    (batch,) = masked.batches([[(0, number) for number in range(7)]])
    parts = [(part.size, part.video is not None, part.audio is not None) for part in batch.parts]
    assert parts == [(2, True, True), (2, True, False), (2, False, True)]
    assert (batch.clips, batch.without_video, batch.without_audio, batch.unread) == (7, 2, 2, 1)


@pytest.mark.parametrize('form', [cases.FORM, cases.FACES, replace(cases.FORM, modalities=('audio',))])
def test_losses_fall_on_clips_that_are_seen_again_and_again(form, tmp_path):
    clips = cases.clips(2, size=form.size if 'video' in form.modalities else 32)
    clips = [replace(clip, frames=np.repeat(clip.frames[:1], 4, axis=0), times_s=np.arange(4.0)) for clip in clips]
    settings = replace(
        cases.SETTINGS,
        steps=30,
        batch_size=2,
        learning_rate=1.0,
        save_every=30,
        augments=False,
        snapshot_every=None,
        log_every=10,
    )
    done = pretrain(form, clips, settings, folder=tmp_path)
    losses = [row['loss'] for row in done.history]
    assert losses[-1] < 0.97 * losses[0]
    assert (tmp_path / 'curves.html').is_file()


def test_weights_say_what_they_are_and_open_again(tmp_path):
    done = pretrain(cases.FORM, cases.mixed_clips(), replace(cases.SETTINGS, snapshot_every=2), folder=tmp_path)
    model, notes = pretraining_from(tmp_path)[0], opened(tmp_path / RUN_WEIGHTS).notes
    for name, value in done.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert model.form == cases.FORM
    assert (notes['family'], notes['step'], notes['epoch']) == ('hicmae', 12, 4.0)
    assert notes['clips'] | {'sha256': ''} == {
        'clips': 12, 'with_video': 8, 'with_audio': 8, 'with_both': 4, 'unread': 0, 'sha256': ''
    }  # fmt: skip
    snapshots = sorted(path.name for path in tmp_path.glob('weights-epoch-*'))
    assert snapshots == ['weights-epoch-0002.safetensors', 'weights-epoch-0004.safetensors']
    assert sum(row['without_video'] for row in done.history) == 16  # four of twelve clips in each of four epochs
    with pytest.raises(WeightsError, match='a checkpoint of HiCMAE or SVFAP'):
        pretraining_from(next(tmp_path.glob('step-*')))


def test_a_killed_run_goes_on_to_the_same_losses_weights_and_snapshots(tmp_path, killed_process):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    pretrain(cases.FORM, cases.mixed_clips(), cases.SETTINGS, folder=whole)
    killed_process(cases.killed_after, str(killed), 7)
    (killed / 'weights-epoch-0002.safetensors').unlink()  # as if the kill had come before it was written
    assert not (killed / 'weights.safetensors').exists()
    pretrain(cases.FORM, cases.mixed_clips(), cases.SETTINGS, folder=killed, resume=True)
    assert (killed / 'log.jsonl').read_bytes() == (whole / 'log.jsonl').read_bytes()
    for path in whole.glob('weights*'):
        ours, theirs = read_tensors(killed / path.name), read_tensors(path)
        assert ours[1] == theirs[1]
        assert all(torch.equal(ours[0][name], value) for name, value in theirs[0].items())
    with pytest.raises(RunError):
        pretrain(cases.FORM, cases.clips(), cases.SETTINGS, folder=killed, resume=True)


@pytest.fixture(scope='module')
def of_two_processes(tmp_path_factory, on_loaded_processes) -> Path:
    """What two processes wrote, by function and by the command of the page."""
    folder = tmp_path_factory.mktemp('ranks')
    cases.corpus_in(folder)
    (line,) = re.findall(r'^torchrun (.*)$', PAGE, flags=re.MULTILINE)
    torchrun = parse_args(shlex.split(line))
    assert (torchrun.nproc_per_node, torchrun.no_python, torchrun.training_script) == ('2', True, 'affekt')
    few = ['--crop', 'none', '--batch-size', '4', '--steps', '2', '--gather-contrast']
    on_loaded_processes(2, cases.on_ranks, str(folder), [*torchrun.training_script_args, *few])
    return folder


def test_the_torchrun_example_of_the_page_runs(of_two_processes):
    spoken = [(of_two_processes / f'stdout-{rank}.txt').read_text() for rank in (0, 1)]
    assert [text.count('weights run/weights.safetensors') for text in spoken] == [1, 0]
    assert opened(of_two_processes / 'run' / RUN_WEIGHTS).notes['step'] == 2


def _slurm_script() -> str:
    (script,) = [block for block in re.findall(r'```sh\n(.*?)```', PAGE, flags=re.DOTALL) if '#SBATCH' in block]
    return script


def test_options_of_the_slurm_example_are_those_of_torchrun_and_of_pretrain(tmp_path):
    (line,) = re.findall(r'torchrun (.*) &$', _slurm_script().replace('\\\n', ''), flags=re.MULTILINE)
    (tmp_path / 'voxceleb2.parquet').touch()
    torchrun = parse_args(shlex.split(line.replace('voxceleb2', str(tmp_path / 'voxceleb2'))))
    assert (torchrun.nnodes, torchrun.nproc_per_node, torchrun.rdzv_backend) == ('2', '4', 'c10d')
    assert (torchrun.no_python, torchrun.training_script) == (True, 'affekt')
    verb, *words = torchrun.training_script_args
    options = pretrain_command.make_context(verb, words).params
    assert (options['family'], options['size'], options['batch_size'], options['resume']) == (
        'hicmae',
        'base',
        160,
        True,
    )
    assert PretrainingSettings(batch_size=options['batch_size']).batch_size % 8 == 0  # two nodes of four


@pytest.mark.parametrize(('of_srun', 'code'), [('kill -USR1 $PPID', 0), ('exit 3', 3)])
def test_the_slurm_example_puts_itself_back_into_the_queue_when_signalled_and_ends_as_srun_does(
    tmp_path, of_srun, code
):
    for name, body in {'srun': of_srun, 'scontrol': f'echo "$*" >> {tmp_path}/asked'}.items():
        (tmp_path / name).write_text(f'#!/bin/bash\n{body}\n')
        (tmp_path / name).chmod(0o755)
    job = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SLURM_JOB_ID': '7', 'SLURM_JOB_NODELIST': 'a'}
    ended = subprocess.run(['bash', '-c', _slurm_script()], env=job | {'SLURM_CPUS_PER_TASK': '2'}, check=False)
    asked = (tmp_path / 'asked').read_text().splitlines()
    assert asked == ['show hostnames a'] + ['requeue 7'] * (code == 0)
    assert code == 0 or ended.returncode == code


def test_two_processes_pretrain_as_one(of_two_processes):
    settings = replace(cases.SETTINGS, epochs=2, contrast_weight=0.5)
    alone = pretrain(cases.FORM, cases.clips(), settings, folder=of_two_processes / 'alone')
    own, gathered = (json.loads((of_two_processes / f'{name}-1.json').read_text()) for name in ('own', 'gathered'))
    for ours, theirs in zip(gathered, alone.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)  # sums in another order
    for name in ('video', 'audio'):
        assert own[0][name] == pytest.approx(alone.history[0][name], abs=1e-6)
    model = new_network(cases.FORM, settings)
    halves = [EpochBatches(12, 2, settings.seed, rank=rank, ranks=2) for rank in (0, 1)]
    batches = [next(made().batches([next(iter(half)).tolist()])) for half in halves]
    expected = sum(float(masked_losses(model, batch)['contrast'].detach()) for batch in batches) / 2
    assert own[0]['contrast'] == pytest.approx(expected, abs=1e-6)
    assert abs(alone.history[0]['contrast'] - expected) > 0.1
    weights = {
        name: read_tensors(of_two_processes / name / 'weights.safetensors')[0] for name in ('alone', 'gathered', 'own')
    }
    differences = {
        name: max(float((weights[name][key] - value).abs().max()) for key, value in weights['alone'].items())
        for name in ('gathered', 'own')
    }
    assert differences['gathered'] < 1e-5 < differences['own']


def test_two_processes_pretrain_as_one_on_clips_that_lack_a_modality(of_two_processes, tmp_path):
    # a third of the clips lacks audio and a third video: processes have unequal numbers of each, or none
    settings = replace(cases.SETTINGS, epochs=2, contrast_weight=0.5)
    alone = pretrain(cases.FORM, cases.mixed_clips(), settings, folder=tmp_path)
    rows = [json.loads(line) for line in (of_two_processes / 'mixed' / 'log.jsonl').read_text().splitlines()]
    assert len(rows) == len(alone.history)
    for ours, theirs in zip(rows, alone.history, strict=True):
        measured = {name: math.nan if value is None else value for name, value in ours.items()}
        assert measured == pytest.approx(theirs, abs=1e-5, nan_ok=True)
    weights = read_tensors(of_two_processes / 'mixed' / RUN_WEIGHTS)[0]
    for key, value in read_tensors(tmp_path / RUN_WEIGHTS)[0].items():
        assert torch.allclose(weights[key], value, atol=1e-5, rtol=0.0), key


def test_a_process_without_clips_has_the_contrast_of_the_others_and_a_gradient_of_0():
    # without a gradient, the averages of the others would wait for this process
    others = torch.ones(3, cases.FORM.width)
    gathered = HicmaePretraining(cases.FORM, contrast_weight=0.5, every=lambda rows: torch.cat([rows, others]))
    losses = masked_losses(gathered, MaskedBatch((), clips=2, without_video=0, without_audio=0, unread=2))
    assert (losses['video'], losses['audio']) == (None, None)
    # all three similarities of a clip are equal: log 3 for each layer, times the weight
    assert losses['contrast'].item() == pytest.approx(0.5 * len(cases.FORM.kept_layers) * math.log(3), abs=1e-5)
    losses['contrast'].backward()
    gradients = [parameter.grad for parameter in gathered.parameters() if parameter.grad is not None]
    assert gradients
    assert not any(gradient.any() for gradient in gradients)


def test_a_contrast_without_weight_gathers_nothing():
    # processes whose clips lack a modality gather nothing then, and the others would wait for them
    def fail(rows):
        pytest.fail('the rows of other processes were asked for')

    model = HicmaePretraining(cases.FORM, contrast_weight=0.0, every=fail)
    batch = made().batch([made().sample((0, number)) for number in range(2)])
    assert set(masked_losses(model, batch)) == {'video', 'audio'}


def test_a_contrast_of_half_precision_gathers_single_precision():
    gathered = []
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    loss = contrast(rows.bfloat16(), rows.bfloat16(), every=lambda every: gathered.append(every.dtype) or every)
    assert gathered == [torch.float32] * 2
    assert loss.dtype == torch.float32


def test_a_contrast_under_autocast_is_that_of_single_precision():
    # clips that differ by less than half precision tells apart, whose similarities are divided by 0.07
    rng = torch.Generator().manual_seed(0)
    video, audio = (1 + 0.05 * torch.randn(16, 64, generator=rng) for _ in range(2))
    expected = contrast(video, audio)
    with torch.autocast('cpu', torch.bfloat16):
        assert contrast(video, audio).item() == expected.item()


def test_the_loss_of_a_modality_that_no_clip_has_is_not_measured(tmp_path):
    spoken = pretrain(cases.FORM, cases.clips(video=False), replace(cases.SETTINGS, epochs=1), folder=tmp_path)
    lines = (tmp_path / 'log.jsonl').read_text().splitlines()
    for row in (json.loads(line, parse_constant=pytest.fail) for line in lines):
        assert (row['video'], row['contrast']) == (None, None)
        assert row['loss'] == row['audio'] > 0
    assert 'Never measured: video, contrast.' in (tmp_path / 'curves.html').read_text()
    assert losses_in_words(spoken.history[-1]).endswith('; video and contrast not measured)')


@pytest.mark.parametrize('made_clips', [cases.clips, cases.mixed_clips])
def test_accumulated_batches_are_one_batch(made_clips, tmp_path):
    # of the mixed clips a third lacks audio and a third video: batches have unequal numbers of each, or none
    settings = replace(cases.SETTINGS, epochs=2, contrast_weight=0.0)
    one, several = (
        pretrain(cases.FORM, made_clips(), replace(settings, accumulation=n), folder=tmp_path / str(n)) for n in (1, 4)
    )
    assert len(one.history) == len(several.history)
    for ours, theirs in zip(several.history, one.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    for key, value in one.model.state_dict().items():
        assert torch.allclose(several.model.state_dict()[key], value, atol=1e-5, rtol=0.0), key


def test_a_contrast_of_accumulated_batches_is_the_mean_over_their_clips(tmp_path):
    # each contrast compares the clips of its batch alone: three clips weigh three times as much as one
    settings = replace(cases.SETTINGS, batch_size=8, accumulation=2, steps=1, contrast_weight=0.5)
    clips = cases.mixed_clips(8)
    done = pretrain(cases.FORM, clips, settings, folder=tmp_path)
    masked, model = made(clips=clips, batch_size=8), new_network(cases.FORM, settings)
    order = iter(EpochBatches(8, 4, settings.seed))
    batches = [next(masked.batches([next(order).tolist()])) for _ in range(2)]
    numbers = [batch.with_all(('video', 'audio')) for batch in batches]
    assert sum(numbers) == 3
    losses = [masked_losses(model, batch)['contrast'] for batch in batches]
    expected = sum(n * float(loss.detach()) for n, loss in zip(numbers, losses, strict=True) if loss is not None) / 3
    assert done.history[0]['contrast'] == pytest.approx(expected, abs=1e-6)


def test_what_cannot_be_learnt_from_is_named(tmp_path):
    with pytest.raises(CorpusError, match='clips with frames or audio; got no clip'):
        pretrain(cases.FORM, [], folder=tmp_path)
    faceless = Clip('street', None, None, None, {'video': 'no face in 75 frames', 'audio': 'silent'})
    with pytest.raises(CorpusError, match=r'frames; got 1 clip without \(street, video: no face in 75 frames\)'):
        pretrain(cases.FACES, [faceless], folder=tmp_path)
    with pytest.raises(ValueRangeError, match='lower --batch-size'):
        pretrain(cases.FORM, cases.clips(3), cases.SETTINGS, folder=tmp_path)
    with pytest.raises(ValueRangeError, match='share evenly'):
        pretrain(cases.FORM, cases.clips(), replace(cases.SETTINGS, accumulation=3), folder=tmp_path)
    with pytest.raises(ShapeError, match='128 mel bands'):
        pretrain(replace(cases.FORM, bands=32), cases.clips(), cases.SETTINGS, folder=tmp_path)
    with pytest.raises(ValueRangeError, match='save_every'):
        PretrainingSettings(log_every=3, save_every=4)

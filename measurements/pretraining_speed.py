"""A pre-training step beside a plain rendering of the published one: time, memory, and use of the device's arithmetic.

    python pretraining_speed.py [--size tiny] [--also small …] [--frames-size 160] [--batch 4] [--repeats 3]
        [--device cpu]

The plain step is written here from its description, on the same weights: all patches are embedded and standardised,
then picked by boolean masks; attention writes out its scores, products are torch's own; AdamW takes a step a tensor.
Its losses are compared with ours. Both take turns in one process with one thread; the fastest of each counts, in CPU
seconds. Peak memory is that of a process of its own for each. With `--inference`, so is that of fine-tuned networks on
four clips, beside the figures that were measured of the published program. `--only audio` times a step of audio alone,
beside one of both modalities, `--only steps` plain steps and ours; each is added to the results that are there.

On a CUDA device the base network is timed at a batch of 32 in bfloat16, compiled and not, as clips a second and as
model-FLOPs use: the arithmetic of a step (forward and back, counted by torch) over what the device does in the same
time in one large matrix product, measured in the same run. On a processor the same is done at the size asked for.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from affekt.nn import Attention, CrossAttention, Linear, position_table
from affekt.pretraining import HicmaeClassifier, PretrainingSettings, form_named
from affekt.pretraining.forms import TILE, TUBE, HicmaeForm
from affekt.pretraining.hicmae import Branch, Decoder, HicmaePretraining
from affekt.pretraining.masked_batches import MaskedBatch, Part
from affekt.pretraining.masked_settings import BETAS, decay_groups
from affekt.pretraining.masked_training import compile_blocks, masked_losses, new_network
from affekt.pretraining.masking import cell_mask, tube_mask
from affekt.pretraining.rebuilding import IMAGENET_DEVIATION, IMAGENET_MEAN, contrast
from affekt.runs import versions, write_atomically
from affekt.training import peak_memory_bytes
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'pretraining_speed.json'
FUSED = (Attention, CrossAttention, Linear)
"""What can be told to go by torch's plain operators."""
PUBLISHED_INFERENCE_MB = {'tiny': 514, 'small': 772, 'base': 912}
"""Peak resident memory of the published program on four clips."""


def sized(name: str, pixels: int) -> HicmaeForm:
    """A published form, for frames of that many pixels."""
    form = form_named('hicmae', name)
    assert isinstance(form, HicmaeForm)
    return replace(form, size=pixels)


def batch_of(form: HicmaeForm, count: int) -> MaskedBatch:
    """Noise, with masks of the published counts."""
    rng = torch.Generator().manual_seed(0)
    video = torch.randn(count, 3, form.frames, form.size, form.size, generator=rng)
    audio = torch.randn(count, 1, form.steps, form.bands, generator=rng)
    masks = tube_mask(count, form.video_grid, 0.9, rng=rng), cell_mask(count, form.audio_grid, 0.8, rng=rng)
    return MaskedBatch((Part(video, audio, *masks),), count, 0, 0, 0)


def plain_losses(model: HicmaePretraining, batch: MaskedBatch) -> dict[str, Tensor]:
    """The losses of HiCMAE, everything made for all patches and picked by masks."""
    ((video, audio, video_mask, audio_mask),) = batch.parts
    assert video is not None and audio is not None and video_mask is not None and audio_mask is not None  # noqa: PT018
    seen = plain_layers(model.encoder, video, video_mask, model.form)
    heard = plain_layers(model.encoder_audio, audio, audio_mask, model.form)
    frames, sounds = model.encoder_fusion(seen[-1], heard[-1], None, None)
    rebuilt = plain_decoded(model.decoder, model.encoder_to_decoder, model.mask_token, frames, seen, video_mask)
    narrow, token = model.encoder_to_decoder_audio, model.mask_token_audio
    rebuilt_audio = plain_decoded(model.decoder_audio, narrow, token, sounds, heard, audio_mask)
    with torch.no_grad():
        pixels = plain_patches(video, TUBE) * video.new_tensor(IMAGENET_DEVIATION) + video.new_tensor(IMAGENET_MEAN)
        standard = plain_standard(pixels)  # (B, N, P, 3)
        first, second = standard.chunk(2, dim=2)
        truth = torch.cat([first, second - first], dim=2).flatten(2)[video_mask]
        truth_audio = plain_standard(plain_patches(audio, TILE)).flatten(2)[audio_mask]
    pairs = zip(seen, heard, strict=True)
    terms = [contrast(one.mean(dim=1), other.mean(dim=1)) for one, other in pairs]
    return {
        'video': functional.mse_loss(rebuilt, truth.unflatten(0, (len(video), -1))),
        'audio': functional.mse_loss(rebuilt_audio, truth_audio.unflatten(0, (len(audio), -1))),
        'contrast': model.contrast_weight * torch.stack(terms).sum(),
    }


def plain_patches(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, C, pixel axes) as (B, N, P, C) patches, the channels of a cell together."""
    pairs = [n for length, cells in zip(pixels.shape[2:], size, strict=True) for n in (length // cells, cells)]
    cut = pixels.reshape(*pixels.shape[:2], *pairs)
    tokens, cells = range(2, cut.ndim, 2), range(3, cut.ndim, 2)
    ordered = cut.permute(0, *tokens, *cells, 1)  # (B, t, y, x, p, q, r, C)
    return ordered.reshape(len(pixels), math.prod(pairs[::2]), math.prod(size), -1)


def plain_standard(patches: Tensor) -> Tensor:
    """(B, N, P, C) patches, each channel of each by its own mean and deviation."""
    return (patches - patches.mean(dim=2, keepdim=True)) / (patches.var(dim=2, keepdim=True).sqrt() + 1e-6)


def plain_layers(branch: Branch, pixels: Tensor, mask: Tensor, form: HicmaeForm) -> list[Tensor]:
    """The kept layers of an encoder, whose visible tokens are picked from all."""
    tokens = branch.patch_embed(pixels)
    tokens = tokens + position_table(tokens.shape[1], tokens.shape[2], tokens)
    tokens = tokens[~mask].reshape(len(pixels), -1, tokens.shape[2])  # (B, V, C)
    layers = []
    for at, block in enumerate(branch.blocks):
        tokens = block(tokens)
        if at in form.kept_layers:
            layers.append(branch.norm(tokens))
    return layers


def plain_decoded(
    decoder: Decoder, narrow: torch.nn.Module, token: Tensor, encoded: Tensor, layers: list[Tensor], mask: Tensor
) -> Tensor:
    """The hidden patches as rebuilt, positions picked by mask."""
    tokens = narrow(encoded)  # (B, V, D)
    clips, visible, width = tokens.shape
    table = position_table(mask.shape[1], width, tokens).expand(clips, -1, -1)  # (B, N, D)
    at_visible, at_masked = table[~mask].reshape(clips, -1, width), table[mask].reshape(clips, -1, width)
    sequence = torch.cat([tokens + at_visible, token + at_masked], dim=1)
    skips = [narrow(layer) + at_visible for layer in layers]
    first, *crossing = decoder.blocks
    sequence = first(sequence)
    for block, skip in zip(crossing, reversed(skips), strict=True):
        sequence = block(sequence, skip)
    patches: Tensor = decoder.head(decoder.norm(sequence[:, visible:]))
    return patches


class Steps:
    """One way of taking steps of one network."""

    def __init__(self, form: HicmaeForm, device: str, *, plain: bool, compiled: bool = False) -> None:
        settings = PretrainingSettings(batch_size=32)
        self.model = new_network(form, settings).to(device)
        assert isinstance(self.model, HicmaePretraining)
        groups = decay_groups(self.model, settings)
        self.optimiser = torch.optim.AdamW(groups, betas=BETAS, **({'foreach': False} if plain else {'fused': True}))
        self._losses = plain_losses if plain else masked_losses
        self._half = torch.autocast(device.split(':')[0], torch.bfloat16, enabled='cuda' in device)
        for module in self.model.modules():
            if plain and isinstance(module, FUSED):
                module.fused = False
        if compiled:
            compile_blocks(self.model)

    def losses(self, batch: MaskedBatch) -> dict[str, float]:
        """Of a batch, without learning from it."""
        with torch.no_grad():
            return {name: float(loss) for name, loss in self._losses(self.model, batch).items()}

    def step(self, batch: MaskedBatch) -> None:
        """One update."""
        self.optimiser.zero_grad()
        with self._half:
            loss = torch.stack(list(self._losses(self.model, batch).values())).sum()
        loss.backward()
        self.optimiser.step()


def fastest(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """CPU seconds of each job, the fastest of several rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            begun = time.process_time()
            job()
            seconds[name].append(time.process_time() - begun)
    return {name: min(times) for name, times in seconds.items()}


def processor() -> str:
    """Most capable vector unit of the processor, on which the share of matrix products in a step depends."""
    cpuinfo = Path('/proc/cpuinfo')
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    units = (name for name in ('avx512_vnni', 'avx512f', 'avx2') if name in flags)
    return next(units, 'unknown')


def step_speed(form: HicmaeForm, count: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of a step, plain and ours, and how far their losses lie apart."""
    batch = batch_of(form, count)
    ways = {'plain': Steps(form, 'cpu', plain=True), 'ours': Steps(form, 'cpu', plain=False)}
    losses = {name: way.losses(batch) for name, way in ways.items()}
    for way in ways.values():
        way.step(batch)  # what is done once is not counted
    seconds = fastest({name: lambda way=way: way.step(batch) for name, way in ways.items()}, repeats)
    return {
        'batch': count,
        'plain_step_s': seconds['plain'],
        'ours_step_s': seconds['ours'],
        'times_faster': seconds['plain'] / seconds['ours'],
        'clips_per_cpu_s': count / seconds['ours'],
        'processor': processor(),
        'largest_loss_difference': max(abs(losses['plain'][name] - loss) for name, loss in losses['ours'].items()),
    }


def steps(form: HicmaeForm, options: argparse.Namespace) -> dict[str, Any]:
    """`step_speed` of the form, and of each other size asked for."""
    batch, repeats, pixels = options.batch, options.repeats, options.frames_size
    return {
        'form': options.size,
        'frames_size': pixels,
        'step': step_speed(form, batch, repeats),
        'other_steps': {size: step_speed(sized(size, pixels), batch, repeats) for size in options.also},
    }


def audio_speed(form: HicmaeForm, count: int, repeats: int) -> dict[str, float]:
    """Clips per CPU second of a step of audio alone, and how many times as many as of both modalities."""
    heard = replace(form, modalities=('audio',))
    both = batch_of(form, count)
    part = both.parts[0]._replace(video=None, video_mask=None)
    steps = {'audio': (Steps(heard, 'cpu', plain=False), replace(both, parts=(part,))),
             'both': (Steps(form, 'cpu', plain=False), both)}  # fmt: skip
    for way, batch in steps.values():
        way.step(batch)  # what is done once is not counted
    jobs = {name: lambda way=way, batch=batch: way.step(batch) for name, (way, batch) in steps.items()}
    seconds = fastest(jobs, repeats)
    return {
        'batch': count,
        'clips_per_cpu_s': count / seconds['audio'],
        'times_both': seconds['both'] / seconds['audio'],
    }


def peak_mb(*words: str) -> float:
    """The most resident memory of a process of its own that does one thing."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def alone(name: str, form: HicmaeForm, count: int) -> None:
    """Do one thing in this process, and print the most memory that it took, in MB."""
    if name == 'inference':
        model = HicmaeClassifier(form, 6).eval()
        with torch.inference_mode():
            ((video, audio, *_),) = batch_of(form, count).parts
            model(video, audio)
    else:
        way, batch = Steps(form, 'cpu', plain=name == 'plain'), batch_of(form, count)
        for _ in range(2):
            way.step(batch)
    print(peak_memory_bytes('cpu') / 1e6)


def counted(way: Steps, batch: MaskedBatch) -> int:
    """Floating-point operations of one step; written out, for torch counts no fused operators on a processor."""
    layers = [module for module in way.model.modules() if isinstance(module, FUSED)]
    for layer in layers:
        layer.fused = False
    with FlopCounterMode(display=False) as counter:
        way.step(batch)
    for layer in layers:
        layer.fused = True
    return int(counter.get_total_flops())


def device_use(form: HicmaeForm, count: int, device: str, repeats: int, ways: tuple[bool, ...]) -> dict[str, Any]:
    """Clips a second and use of the device's arithmetic, compiled and not."""
    is_cuda = 'cuda' in device

    def seconds(job: Callable[[], Any]) -> float:
        times = []
        clock = time.perf_counter if is_cuda else time.process_time  # others may use the processor
        for _ in range(max(repeats, 3)):
            begun = clock()
            job()
            if is_cuda:
                torch.cuda.synchronize()
            times.append(clock() - begun)
        return min(times)

    size = 8192 if is_cuda else 1024
    square = torch.randn(size, size, device=device, dtype=torch.bfloat16 if is_cuda else torch.float32)
    square @ square
    per_second = 2 * size**3 / seconds(lambda: square @ square)
    batch = batch_of(form, count).to(device)
    rows: dict[str, Any] = {'device': torch.cuda.get_device_name() if is_cuda else 'cpu', 'batch': count}
    rows['product_flops_per_second'] = per_second
    for compiled in ways:
        way = Steps(form, device, plain=False, compiled=compiled)
        if not compiled:
            rows['flops_per_clip'] = counted(way, batch) / count
        for _ in range(3 if is_cuda else 1):
            way.step(batch)
        taken = seconds(lambda way=way: [way.step(batch) for _ in range(5 if is_cuda else 1)]) / (5 if is_cuda else 1)
        rows['compiled' if compiled else 'not_compiled'] = {
            'clips_per_second': count / taken,
            'model_flops_use': rows['flops_per_clip'] * count / taken / per_second,
            'peak_mb': torch.cuda.max_memory_allocated() / 1e6 if is_cuda else None,
        }
    return rows


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='tiny', choices=('tiny', 'small', 'base'))
    parser.add_argument(
        '--also', nargs='*', default=[], choices=('small', 'base'), help='sizes of which a step is timed'
    )
    parser.add_argument('--frames-size', type=int, default=160)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--inference', action='store_true', help='memory of fine-tuned networks, too')
    parser.add_argument('--compile', action='store_true', help='compiled steps on a processor, too: minutes')
    parser.add_argument('--no-device', action='store_true', help='leave out compiled steps and use of arithmetic')
    parser.add_argument('--only', choices=('audio', 'steps'), help='measure this alone')
    parser.add_argument('--processor', help='name of another processor, whose steps are noted beside the first')
    parser.add_argument('--alone', default='', help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    form = sized(options.size, options.frames_size)
    if options.processor and options.only != 'steps':
        parser.error('--processor notes steps alone: give --only steps')
    if options.alone:
        alone(options.alone, form, options.batch)
        return
    result: dict[str, Any]
    if options.only:
        is_audio = options.only == 'audio'
        measured = {'audio': audio_speed(form, options.batch, options.repeats)} if is_audio else steps(form, options)
        earlier = json.loads(options.out.read_text()) if options.out.exists() else {}
        if options.processor:
            measured = {'on_other_processors': earlier.get('on_other_processors', {}) | {options.processor: measured}}
        write_atomically(options.out, json_file(earlier | measured))
        print(json.dumps(measured, indent=2))
        return
    shared = ('--frames-size', str(options.frames_size), '--batch', str(options.batch))
    result = steps(form, options)
    result['audio'] = audio_speed(form, options.batch, options.repeats)
    result['peak_mb'] = {way: peak_mb('--alone', way, '--size', options.size, *shared) for way in ('plain', 'ours')}
    if options.inference:
        result['inference_peak_mb'] = {
            size: {'ours': peak_mb('--alone', 'inference', '--size', size, *shared), 'published': published}
            for size, published in PUBLISHED_INFERENCE_MB.items()
        }
    if not options.no_device:
        is_cuda = 'cuda' in options.device
        wide = form_named('hicmae', 'base') if is_cuda else form
        assert isinstance(wide, HicmaeForm)
        ways = (False, True) if is_cuda or options.compile else (False,)
        result['use'] = device_use(wide, 32 if is_cuda else options.batch, options.device, options.repeats, ways)
    earlier = json.loads(options.out.read_text()) if options.out.exists() else {}
    others = {'on_other_processors': earlier.get('on_other_processors', {})}
    write_atomically(options.out, json_file(result | others | {'versions': versions()}))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()

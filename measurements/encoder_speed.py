"""Encoders of clips beside a plain rendering: CPU seconds a clip, of the published evaluation, and memory.

    python encoder_speed.py [--repeats 5] [--clip FILE] [--sizes hicmae-tiny …] [--processor NAME]
                            [--out FILE]

The plain rendering is written here from the method: attention by a softmax written out over all scores, positions
filled by Python's loops, every layer kept. It takes the same weights, and both must give the same features. Runs take
turns on one thread; the median of each counts, and the median of the ratios of each round. SVFAP is beside its own
network with the softmax written out. Beside them run bfloat16, where the processor computes it by itself, and the
exported ONNX file in single precision and with weights of eight bits.

The published evaluation decodes a clip for each of four views, of which two are the same; ours decodes it once and runs
the two that differ. Both read whole pictures here, so that no face is looked for.

Memory is that of `encoder_memory.py`, beside the published figures (218 MB of those were Python and torch).
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from encoder_memory import inputs, network
from torch import Tensor
from torch.nn import functional

from affekt.clips import decoded
from affekt.nn import save_tensors
from affekt.pretraining import (
    HicmaeClassifier,
    collate,
    cut,
    evaluation_windows,
    predict_proba,
)
from affekt.pretraining.masked_training import form_notes
from affekt.representations import export_onnx, quantise
from affekt.runs import versions, write_atomically
from affekt.training import has_precision
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'encoder_speed.json'
CLIP = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'clips' / 'driving_d10.mp4'
SIZES = ('hicmae-tiny', 'hicmae-small', 'hicmae-base', 'svfap-small', 'svfap-base')
PEAK_MB = {'hicmae-tiny': 514, 'hicmae-small': 772, 'hicmae-base': 912, 'svfap-small': 634, 'svfap-base': 840}
"""Of the published programs at four clips, as measured for the specification, Python and torch included."""


class Plain:
    """HiCMAE's classifier from its state, without the kit."""

    def __init__(self, model: HicmaeClassifier) -> None:
        self.state = model.state_dict()
        self.form = model.form
        self.tables = {
            count: self._table(count, model.form.width)
            for count in (math.prod(model.form.video_grid), math.prod(model.form.audio_grid))
        }

    @staticmethod
    def _table(count: int, width: int) -> Tensor:
        rows = [[p / 10_000 ** (2 * (j // 2) / width) for j in range(width)] for p in range(count)]
        table = np.array(rows)
        table[:, 0::2], table[:, 1::2] = np.sin(table[:, 0::2]), np.cos(table[:, 1::2])
        return torch.from_numpy(table).float()

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[f'{name}.weight'], self.state[f'{name}.bias'], 1e-6)

    def _attention(self, queries: Tensor, keys: Tensor, values: Tensor, name: str) -> Tensor:
        heads = self.form.heads
        q, k, v = (part.unflatten(2, (heads, -1)).permute(0, 2, 1, 3) for part in (queries, keys, values))
        weights = (q * q.shape[3] ** -0.5 @ k.transpose(2, 3)).softmax(dim=3)  # (B, H, T, S)
        read = (weights @ v).transpose(1, 2).flatten(2)
        return functional.linear(read, self.state[f'{name}.proj.weight'], self.state[f'{name}.proj.bias'])

    def _self(self, x: Tensor, name: str) -> Tensor:
        q_bias, v_bias = self.state[f'{name}.q_bias'], self.state[f'{name}.v_bias']
        bias = torch.cat([q_bias, torch.zeros_like(v_bias), v_bias])
        return self._attention(*functional.linear(x, self.state[f'{name}.qkv.weight'], bias).chunk(3, dim=2), name)

    def _cross(self, x: Tensor, context: Tensor, name: str) -> Tensor:
        queries = functional.linear(x, self.state[f'{name}.q.weight'], self.state[f'{name}.q_bias'])
        bias = torch.cat([torch.zeros_like(self.state[f'{name}.v_bias']), self.state[f'{name}.v_bias']])
        keys, values = functional.linear(context, self.state[f'{name}.kv.weight'], bias).chunk(2, dim=2)
        return self._attention(queries, keys, values, name)

    def _block(self, x: Tensor, name: str, context: Tensor | None = None) -> Tensor:
        if context is not None:
            normal = self._norm(x, f'{name}.cross_norm1')
            x = x + self._cross(normal, self._norm(context, f'{name}.cross_norm2'), f'{name}.cross_attn')
        x = x + self._self(self._norm(x, f'{name}.norm1'), f'{name}.attn')
        hidden = functional.linear(
            self._norm(x, f'{name}.norm2'), self.state[f'{name}.mlp.fc1.weight'], self.state[f'{name}.mlp.fc1.bias']
        )
        return x + functional.linear(
            functional.gelu(hidden), self.state[f'{name}.mlp.fc2.weight'], self.state[f'{name}.mlp.fc2.bias']
        )

    def _branch(self, pixels: Tensor, name: str, layer_weights: str) -> tuple[Tensor, Tensor]:
        weight, bias = (self.state[f'{name}.patch_embed.proj.{part}'] for part in ('weight', 'bias'))
        convolve = functional.conv3d if pixels.ndim == 5 else functional.conv2d
        x = convolve(pixels, weight, bias, stride=weight.shape[2:]).flatten(2).transpose(1, 2)
        x = x + self.tables[x.shape[1]]
        layers = []
        for at in range(self.form.depth):
            x = self._block(x, f'{name}.blocks.{at}')
            layers.append(self._norm(x, f'{name}.norm'))
        shares = self.state[layer_weights].softmax(dim=0)
        means = torch.stack([layer.mean(dim=1) for layer in layers])
        return layers[-1], (shares[:, None, None] * means).sum(dim=0)

    def __call__(self, video: Tensor, audio: Tensor) -> Tensor:
        """The (B, 4C) features."""
        seen, seen_mean = self._branch(video, 'encoder', 'video_layer_weights')
        heard, heard_mean = self._branch(audio, 'encoder_audio', 'audio_layer_weights')
        for at in range(self.form.fusion_depth):
            seen, heard = (
                self._block(seen, f'encoder_fusion.blocks.{at}', heard),
                self._block(heard, f'encoder_fusion.blocks_audio.{at}', seen),
            )
        fused = self._norm(seen, 'encoder_fusion.norm'), self._norm(heard, 'encoder_fusion.norm_audio')
        return torch.cat([seen_mean, heard_mean, *(part.mean(dim=1) for part in fused)], dim=1)


def rounds(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each job in each round, in which they take turns; a first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            begun = time.process_time()
            job()
            if turn:
                seconds[name].append(time.process_time() - begun)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The median of each job."""
    return {name: round(statistics.median(times), 4) for name, times in seconds.items()}


def sessions(model: Any, name: str) -> dict[str, onnxruntime.InferenceSession]:
    """The network as an exported file in single precision and with weights of eight bits, each on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        saved, whole, small = (Path(folder) / file for file in (f'{name}.safetensors', 'whole.onnx', 'small.onnx'))
        save_tensors(saved, model.state_dict(), {'notes': json.dumps(form_notes(model.form))})
        export_onnx(saved, whole)
        shutil.copy(whole, small)
        quantise(small)  # as `export_onnx(precision='int8')` does
        return {
            way: onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])
            for way, path in (('onnx', whole), ('int8', small))
        }


def inference(name: str, repeats: int) -> dict[str, Any]:
    """One window at once, as when clips come one by one."""
    begun = time.process_time()
    model = network(name)
    built = time.process_time() - begun
    exported = sessions(model, name)
    with torch.inference_mode():
        return _inference(model, name, exported, repeats) | {'built_cpu_s': round(built, 2)}


def _inference(
    model: Any, name: str, exported: dict[str, onnxruntime.InferenceSession], repeats: int
) -> dict[str, Any]:
    video, audio = inputs(model.form, 1)
    tables = 0.0
    if isinstance(model, HicmaeClassifier):
        begun = time.process_time()
        plain = Plain(model)
        tables = time.process_time() - begun
        jobs: dict[str, Callable[[], Any]] = {'plain': lambda: plain(video, audio)}
    else:
        explicit = network(name, fused=False)
        jobs = {'plain': lambda: explicit.features(video)[0]}
    jobs['ours'] = lambda: model.features(video, audio)[0]
    truth = jobs['plain']()
    if has_precision('cpu', 'bfloat16'):
        half = network(name).to(torch.bfloat16)
        video_half, audio_half = (None if part is None else part.bfloat16() for part in (video, audio))
        jobs['bfloat16'] = lambda: half.features(video_half, audio_half)[0]
    pixels = {'video': video.numpy(), **({} if audio is None else {'audio': audio.numpy()})}
    for way, session in exported.items():
        jobs[way] = lambda session=session: torch.from_numpy(session.run(['features'], pixels)[0])
    apart = {way: float((jobs[way]().float() - truth).abs().max()) for way in jobs if way != 'plain'}
    seconds = rounds(jobs, repeats)
    by_round = zip(*seconds.values(), strict=True)
    shares = [dict(zip(seconds, times, strict=True)) for times in by_round]
    return {
        'cpu_s': medians(seconds),
        'ratio': {
            way: round(statistics.median(turn[way] / turn['plain'] for turn in shares), 3)
            for way in seconds if way != 'plain'
        },
        'largest_difference': apart['ours'],
        'largest_difference_of': {way: float(f'{gap / float(truth.abs().max()):.2g}') for way, gap in apart.items()},
        'position_loops_cpu_s': round(tables, 2),
    }  # fmt: skip


@torch.inference_mode()
def four_views(path: Path, repeats: int) -> dict[str, Any]:
    """The evaluation of one clip, from its file to probabilities."""
    model: Any = network('hicmae-tiny')
    length = len(decoded(path, crop='none').frames)

    def published() -> Tensor:
        answers = []
        for view in range(4):  # two segments, each cut twice to the same square
            clip = decoded(path, crop='none')
            window = evaluation_windows(clip)[min(view // 2, len(evaluation_windows(clip)) - 1)]
            batch = collate([cut(clip, window)])
            has = None if batch.audio is not None else batch.has_audio
            answers.append(model(batch.video, batch.audio, None, has).softmax(dim=1))
        return torch.stack(answers).mean(dim=0)

    def ours() -> Tensor:
        return torch.from_numpy(predict_proba(model, [decoded(path, crop='none')]))

    apart = float((published() - ours()).abs().max())
    seconds = medians(rounds({'published': published, 'ours': ours}, repeats))
    return {
        'clip': path.name, 'frames': length, 'cpu_s': seconds,
        'times_faster': round(seconds['published'] / seconds['ours'], 2), 'largest_difference': apart,
    }  # fmt: skip


def peak_mb(name: str) -> dict[str, float]:
    """See `encoder_memory.py`."""
    words = [sys.executable, str(Path(__file__).with_name('encoder_memory.py')), name]
    peak = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return {'four_windows': peak, **({'published': PEAK_MB[name]} if name in PEAK_MB else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--clip', type=Path, default=CLIP)
    parser.add_argument('--sizes', nargs='*', default=SIZES)
    parser.add_argument('--processor', help='name of another processor, whose figures are noted beside the first')
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        'inference': {name: inference(name, options.repeats) for name in options.sizes},
        'four_views': four_views(options.clip, options.repeats) if options.clip.exists() else None,
        'peak_mb': {name: peak_mb(name) for name in (*options.sizes, 'nothing')},
        'has_bfloat16': has_precision('cpu', 'bfloat16'),
        'int8_weight_bits': 7,  # see `quantise`
        'versions': versions(),
    }
    print(json.dumps(result, indent=2))
    earlier = json.loads(options.out.read_text()) if options.out.exists() else {}
    others = earlier.get('on_other_processors', {})
    if options.processor:
        others, result = others | {options.processor: result}, earlier
    result['on_other_processors'] = others
    write_atomically(options.out, json_file(result))


if __name__ == '__main__':
    main()

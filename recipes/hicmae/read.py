"""What pre-training on speech brings: emotions of people that the labels never showed, read by a linear map.

    python recipes/hicmae/read.py --ravdess DIR --nemo DIR --out DIR

Beside the pre-trained network stand the same one as it was drawn, acoustic descriptors, and the layers of Whisper's
encoder that affekt's own vocal head reads. All are read by the same map, on the same turns and folds of speakers
(`probe.py`); the part of the people that pre-training never heard is scored by itself as well. Writes `results.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from probe import cross_read
from speech import is_left_out, labelled, turns
from torch import nn
from voices import SETTINGS

from affekt.arrays import Floats32
from affekt.clips import Clip
from affekt.metrics import Interval, categorical_measure, compare, measure_intervals
from affekt.pretraining import HicmaePretraining, collate, pretraining_from
from affekt.pretraining.masked_training import SNAPSHOT, new_network
from affekt.pretraining.windows import cut, evaluation_windows
from affekt.typed_json import json_file

BATCH = 32
RESAMPLES = 2000
CURVE = (5, 10, 20, 40, 60)


def network_features(model: nn.Module, sounds: list[Floats32]) -> Floats32:
    """(N, 2 * L * C) mean and deviation over tokens of each layer, means over the windows of a turn."""
    assert isinstance(model, HicmaePretraining)
    model.eval()
    windows = [
        (at, cut(clip, window))
        for at, clip in enumerate(Clip(str(at), None, None, sound) for at, sound in enumerate(sounds))
        for window in evaluation_windows(clip)
    ]
    sums, counts = [np.zeros(0)] * len(sounds), np.zeros(len(sounds))
    for start in range(0, len(windows), BATCH):
        part = windows[start : start + BATCH]
        batch = collate([clip for _, clip in part])
        assert batch.audio is not None
        with torch.inference_mode():
            layers = [
                torch.cat([tokens.mean(dim=1), tokens.std(dim=1)], dim=1)
                for tokens in model.encoder_audio.layers(batch.audio)
            ]
            rows = torch.cat(layers, dim=1).double().numpy()  # (B, 2 * L * C)
        for (at, _), row in zip(part, rows, strict=True):
            sums[at] = row if not counts[at] else sums[at] + row
            counts[at] += 1
    return (np.stack(sums) / counts[:, None]).astype(np.float32)


def kept(path: Path, make: Any) -> Floats32:
    """An array from disk, made where it is absent."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, make())
    return np.asarray(np.load(path))


def arms(name: str, store: Any, out: Path, curve: Sequence[int]) -> dict[str, Floats32]:
    """Features by the name of what made them, the snapshots of pre-training last and in order."""
    folder, sounds = out / 'read' / name, turns(store)
    made, form = plain_arms(store), pretraining_from(out / 'pretrained')[0].form
    made['as drawn'] = kept(folder / 'epoch-0000.npy', lambda: network_features(new_network(form, SETTINGS), sounds))
    for epoch in curve:
        path = out / 'pretrained' / SNAPSHOT.format(epoch)
        model = pretraining_from(path)[0]
        made[f'epoch {epoch}'] = kept(folder / f'epoch-{epoch:04d}.npy', lambda m=model: network_features(m, sounds))
    return {label: np.nan_to_num(rows) for label, rows in made.items()}


def plain_arms(store: Any) -> dict[str, Floats32]:
    """What pre-training has to beat: 22 acoustic descriptors, and (N, 2 * L * D) of the layers of Whisper's encoder."""
    whisper = store.features('tiny.en', 'clean')[:, :, :2].astype(np.float32)  # (N, L + 1, 2, D): mean, deviation
    return {
        'acoustic descriptors': store.acoustics('clean'),
        'Whisper tiny.en, layers': whisper.reshape(len(whisper), -1),
    }


def difference(truth: Any, predicted: Any, other: Any, speakers: Any, classes: int) -> dict[str, Any]:
    """UAR less that of the other, with an interval and p of a paired test, speakers drawn."""
    ours, theirs = (categorical_measure(truth, guess, range(classes)) for guess in (predicted, other))
    test = compare(ours, theirs, rng=np.random.default_rng(0), groups=speakers)['balanced_accuracy']
    ends = _ends(test.difference, speakers)
    return {'UAR': round(test.difference.value, 4), **ends} | ({'p': round(test.p, 4)} if 'low' in ends else {})


def _ends(interval: Interval, speakers: Any) -> dict[str, Any]:
    """The ends of an interval, or why there is none."""
    if np.isnan(interval.low):
        count = len(set(speakers.tolist()))
        return {'no interval': 'speakers are drawn, and there is one' if count == 1 else 'undefined when drawn'}
    return {'low': round(interval.low, 4), 'high': round(interval.high, 4)}


def scored(truth: Any, predicted: Any, speakers: Any, classes: int) -> dict[str, Any]:
    """UAR and accuracy with intervals, speakers drawn."""
    measure = categorical_measure(truth, predicted, range(classes))
    found = measure_intervals(measure, groups=speakers, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return {
        short: {'value': round(found[long].value, 4), **_ends(found[long], speakers)}
        for short, long in (('UAR', 'balanced_accuracy'), ('accuracy', 'accuracy'))
    }


def figures(corpus: Any, features: dict[str, Floats32]) -> dict[str, Any]:
    """Scores of each arm on one corpus, and of the last epoch against the others."""
    _, truth = np.unique(corpus.truth, return_inverse=True)
    classes = int(truth.max()) + 1
    unheard = is_left_out(corpus)
    predicted = {label: cross_read(rows, truth, corpus.fold, classes) for label, rows in features.items()}
    rows: dict[str, Any] = {'clips': len(truth), 'speakers': len(set(corpus.speaker.tolist())), 'classes': classes}
    rows['chance'] = round(1 / classes, 4)
    rows['arms'] = {
        label: scored(truth, guess, corpus.speaker, classes)
        | {'never heard in pre-training': scored(truth[unheard], guess[unheard], corpus.speaker[unheard], classes)}
        for label, guess in predicted.items()
    }
    last = predicted[list(features)[-1]]
    rows['last epoch less'] = {
        label: difference(truth, last, predicted[label], corpus.speaker, classes) for label in list(features)[:3]
    }
    return rows


def main() -> None:
    """Reads both corpora by each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder of `voices.py`')
    parser.add_argument('--turns', type=Path, help='features of recipes/vocal_emotion, read where they are there')
    parser.add_argument('--curve', type=int, nargs='+', default=CURVE, help='epochs whose weights are read')
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, (corpus, store) in labelled(given.ravdess, given.nemo, given.turns or given.out / 'turns').items():
        results[name] = figures(corpus, arms(name, store, given.out, given.curve))
        print(json.dumps(results[name], indent=1), flush=True)
    (given.out / 'results.json').write_bytes(json_file(results))


if __name__ == '__main__':
    main()

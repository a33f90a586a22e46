"""Do other heads carry over better from one corpus to another? Each `Try` of `other_norms.py`, in both directions.

    python recipes/vocal_emotion/across_corpora.py --ravdess DIR --nemo DIR --out DIR [--most 10]

Learns from RAVDESS (the first repetition: 720 clips) and reads nEMO (so many clips of each of 9 speakers and 6
emotions), and the reverse, over Whisper tiny.en. Features lie below `--out` and are reused; so is every finished try in
`tried_across.json` and `.md` there. They hold for each try, in both directions, UAR, its difference to the present head
and the calibration error, with intervals over speakers. The setting of a try is the value that is best in the other
direction, and the temperature is that of the other direction: nothing is chosen on the corpus that is read.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from features import Clips, read_nemo, read_ravdess, read_sound
from heads import ONTO_EKMAN
from other_heads import ABSENT, Corpus, Scores, balanced, logged
from other_norms import TRIED

from affekt.arrays import Floats32
from affekt.files import write_atomically
from affekt.metrics import expected_calibration_error
from affekt.typed_json import json_file
from affekt.voice import WhisperEncoder
from affekt.voice.acoustics import acoustic_summary
from affekt.voice.emotion import pool
from affekt.voice.speech import RATE_HZ

DIRECTIONS = (('ravdess', 'nemo'), ('nemo', 'ravdess'))
DRAWS = 2000
TEMPERATURES = np.exp(np.linspace(-3, 3, 121))
PRESENT = next(iter(TRIED))
AT_ONCE = 54
"""Clips per stored part; of nEMO, one of each speaker and emotion."""


def trimmed(samples: Floats32) -> Floats32:
    """From the first to the last 20 ms within 35 dB of the loud ones, and 0.2 s on either side."""
    size = RATE_HZ // 50
    frames = samples[: samples.size // size * size].reshape(-1, size)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(level > np.percentile(level, 95) - 35)
    return samples[max(0, int(loud[0]) * size - RATE_HZ // 5) : (int(loud[-1]) + 1) * size + RATE_HZ // 5]


def chosen_rows(clips: Clips, most: int) -> npt.NDArray[np.int64]:
    """The first repetition of RAVDESS; of nEMO so many clips per speaker and emotion, by chance, in rounds of one."""
    if clips.name == 'ravdess':
        return np.array([row for row, name in enumerate(clips.files) if name.split('-')[5] == '01'])
    seen: dict[tuple[int, int], int] = {}
    rank = np.zeros(len(clips.files), np.int64)
    for row in np.random.default_rng(11).permutation(len(clips.files)):
        cell = (int(clips.speaker[row]), int(clips.truth[row]))
        rank[row] = seen.get(cell, 0)
        seen[cell] = rank[row] + 1
    order = np.argsort(rank, kind='stable')
    return np.asarray(order[rank[order] < most])


def corpus_of(clips: Clips, rows: npt.NDArray[np.int64], folder: Path) -> Corpus:
    """The clips' features; where nothing is voiced, acoustics are the median."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = WhisperEncoder('tiny.en')
    layers, acoustics = [], []
    for first in range(0, len(rows), AT_ONCE):
        path = folder / f'{clips.name}.{first:05d}.npz'
        if not path.exists():
            turns = [trimmed(read_sound(clips.folder / clips.files[row])) for row in rows[first : first + AT_ONCE]]
            encoded = (encoder(turn) for turn in turns)
            pooled = [pool(each.layers[:, : each.speech_frames])[:, :3] for each in encoded]
            temporary = path.with_suffix('.part.npz')
            summaries = np.stack([acoustic_summary(turn) for turn in turns])
            np.savez(temporary, f=np.stack(pooled).astype(np.float16), a=summaries)
            os.replace(temporary, path)
        with np.load(path) as part:
            layers.append(part['f'][:, 1:])
            acoustics.append(part['a'][:, :-1])  # without words per second, which are unknown
    table = np.concatenate(acoustics)
    table = np.where(np.isfinite(table), table, np.nanmedian(np.where(np.isfinite(table), table, np.nan), axis=0))
    return Corpus(
        layers=np.concatenate(layers).astype(np.float32),
        acoustics=table.astype(np.float32),
        truth=np.asarray(ONTO_EKMAN[clips.truth[rows]]),
        speaker=clips.speaker[rows],
        sentence=clips.sentence[rows],
    )


def known(read: Corpus, learn: Corpus) -> Corpus:
    """The clips whose category the learned corpus has."""
    return read.rows(np.isin(read.truth, learn.truth))


def drawn_uar(read: Corpus, guess: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(1 + DRAWS,) unweighted average recall, and that of speakers drawn with replacement; always the same draws."""
    speakers = np.unique(read.speaker, return_inverse=True)[1]
    count = int(speakers.max()) + 1
    draws = np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), DRAWS)
    draws = np.concatenate([np.ones((1, count), draws.dtype), draws])
    recalls = []
    for kind in np.unique(read.truth):
        is_kind = read.truth == kind
        total = np.bincount(speakers[is_kind], minlength=count)
        right = np.bincount(speakers[is_kind & (guess == kind)], minlength=count)
        recalls.append((draws @ right) / np.maximum(draws @ total, 1))
    return np.asarray(np.mean(recalls, axis=0))


def interval(drawn: npt.NDArray[np.float64]) -> dict[str, float]:
    """The value, and the middle 95 % of the draws."""
    low, high = np.percentile(drawn[1:], [2.5, 97.5])
    return {'value': round(float(drawn[0]), 4), 'low': round(float(low), 4), 'high': round(float(high), 4)}


def temperature_of(scores: Scores, truth: npt.NDArray[np.int64]) -> float:
    """The one with the least mean surprise, each category weighing the same."""
    weight, rows = balanced(truth), np.arange(truth.size)
    losses = [-(weight * logged(scores / value)[rows, truth]).sum() for value in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def calibration_error(scores: Scores, truth: npt.NDArray[np.int64], temperature: float) -> float:
    """Expected calibration error at a temperature."""
    probabilities = np.exp(logged(np.where(scores <= ABSENT, -1e3, scores) / temperature))
    return round(expected_calibration_error(probabilities / probabilities.sum(axis=1, keepdims=True), truth), 4)


def figures(corpora: Mapping[str, Corpus], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row per try."""
    pairs = {target: (corpora[source], known(corpora[target], corpora[source])) for source, target in DIRECTIONS}
    present = {target: _drawn(PRESENT, *pair)[1][0] for target, pair in pairs.items()}
    for name in names:
        each = TRIED[name]
        compared = {target: _drawn(name, *pair) for target, pair in pairs.items()}
        row: dict[str, Any] = {'what': name, 'uses': each.uses, 'values': list(each.values)}
        for source, target in DIRECTIONS:
            (scores, drawn), (others, theirs) = compared[target], compared[source]
            place = int(np.argmax([table[0] for table in theirs]))
            warmth = temperature_of(others[place], pairs[source][1].truth)
            row[target] = {
                'uar_by_value': [round(float(table[0]), 4) for table in drawn],
                'chosen': each.values[place],
                'uar': interval(drawn[place]),
                'difference': interval(drawn[place] - present[target]),
                'ece': calibration_error(scores[place], pairs[target][1].truth, warmth),
            }
        yield row


def _drawn(name: str, learn: Corpus, read: Corpus) -> tuple[list[Scores], list[npt.NDArray[np.float64]]]:
    """Scores of a try for each of its values, and their `drawn_uar`."""
    scores = [TRIED[name].method(learn, read, value) for value in TRIED[name].values]
    return scores, [drawn_uar(read, table.argmax(axis=1)) for table in scores]


def _line(row: Mapping[str, Any]) -> str:
    """For the terminal."""
    by_value = ' '.join(f'{value:.3f}' for value in row['uar_by_value'])
    change = row['difference']
    return (
        f'{row["uar"]["value"]:.3f} [{change["low"]:+.3f}, {change["high"]:+.3f}] ece {row["ece"]:.3f} ({by_value}) |'
    )


def page(found: Mapping[str, Any]) -> str:
    """The figures as one table in Markdown."""
    clips = found['clips']
    lines = [
        '# Heads tried on a corpus that took no part',
        '',
        f'Written by `recipes/vocal_emotion/across_corpora.py`, over Whisper {found["encoder"]}: {clips["ravdess"]}',
        f'clips of RAVDESS, {clips["nemo"]} of nEMO. UAR in the categories of the read corpus (0.167 by chance, and by',
        'always answering one category), its difference to the present head with a 95 % interval over speakers, and',
        'the calibration error. The present head is the shipped kind with its penalty, on means and deviations of',
        'clean clips; compare its other penalties as well.',
        'Setting and temperature are those of the other direction. *Uses*: what a reading has beside its turn, without',
        'labels; a calibration is neutral speech that is known as such. In brackets: UAR of each setting compared.',
        '',
        '| what | uses | nEMO from RAVDESS | difference | ECE | RAVDESS from nEMO | difference | ECE |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for row in found['rows']:
        cells = [row['what'], row['uses']]
        for _, target in DIRECTIONS:
            each = row[target]
            values = ', '.join(f'{value:.3f}' for value in each['uar_by_value'])
            low, high = (f'{each["uar"][side]:.3f}' for side in ('low', 'high'))
            change = each['difference']
            cells += [
                f'{each["uar"]["value"]:.3f} [{low}, {high}] ({values})',
                f'{change["value"]:+.3f} [{change["low"]:+.3f}, {change["high"]:+.3f}]',
                f'{each["ece"]:.3f}',
            ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join([*lines, ''])


def main() -> None:
    """Features, then all tries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder for features and figures')
    parser.add_argument('--most', type=int, default=10, help='clips of each speaker and emotion of nEMO')
    given = parser.parse_args()
    clips = {'ravdess': read_ravdess(given.ravdess), 'nemo': read_nemo(given.nemo)}
    rows = {name: chosen_rows(each, given.most) for name, each in clips.items()}
    path = given.out / 'tried_across.json'
    found: dict[str, Any] = {
        'encoder': 'tiny.en',
        'clips': {name: len(each) for name, each in rows.items()},
        'rows': json.loads(path.read_text())['rows'] if path.exists() else [],
    }
    done = {row['what'] for row in found['rows']}
    corpora = {name: corpus_of(each, rows[name], given.out / 'across') for name, each in clips.items()}
    for row in figures(corpora, [name for name in TRIED if name not in done]):
        found['rows'].append(row)
        print(f'{row["what"]:52s}', *[_line(row[target]) for _, target in DIRECTIONS], flush=True)
        write_atomically(path, json_file(found))
        write_atomically(path.with_suffix('.md'), page(found).encode())


if __name__ == '__main__':
    main()

"""How surely speakers are told apart by voice: `python measurements/speakers.py --data DIR [--vectors FILE]`.

Writes results/speakers.json. Dialogues of one to four speakers with four to ten turns each are made of clips of RAVDESS
(English, 24 speakers) and nEMO (Polish, 9), each in all emotions (the trap: one person in several) and in calm speech
alone. The thresholds are chosen on nEMO: the most covered time at a purity of at least PURITY, where no more
than MOST_SPLIT of the single speakers are split; RAVDESS judges them, unseen.

    purity    share of the time with a named speaker that belongs to the one who has most of that name
    covered   share of all time with a named speaker, in dialogues of two and more
    split     share of single speakers told apart, who should be one

Baselines: all turns one speaker, each turn its own. A file of vectors is written where it is absent and read where it
is there.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from affekt.media import Recording
from affekt.people.speakers import APART, JOIN, MARGIN, grouped
from affekt.typed_json import json_file
from affekt.voice import SpeechDetector
from affekt.voice.speaker_identity import SpeakerIdentity
from affekt.voice.speech import speech_turns

PURITY, MOST_SPLIT = 0.95, 0.02
DIALOGUES = 100
CLIPS = {'ravdess': 3, 'nemo': 10}
"""Clips per speaker and emotion."""
CALM = ('01', '02', 'neutral')
GRID = {'join': (0.62, 0.66, 0.69, 0.72), 'apart': (0.57, 0.60, 0.63), 'margin': (0.06, 0.12)}
Turns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Speakers, vectors and seconds of the turns of one dialogue."""


def clips(data: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Corpus, speaker, emotion and file of every clip."""
    for path in sorted((data / 'ravdess_speech').glob('Actor_*/*.flac')):
        parts = path.stem.split('-')
        yield 'ravdess', parts[6], parts[2], path
    with (data / 'nemo' / 'metadata.tsv').open(encoding='utf-8') as file:
        for row in csv.DictReader(file, delimiter='\t'):
            speaker = row['speaker_id'].strip()
            path = data / 'nemo' / speaker / f'{Path(row["file_id"].strip()).stem}.opus'
            if path.exists():
                yield 'nemo', speaker, row['emotion'], path


def measured(data: Path) -> dict[str, np.ndarray]:
    """Corpus, speaker, emotion, seconds and vector of the turns of some clips of each speaker and emotion."""
    rng, detector, network = np.random.default_rng(1), SpeechDetector(threads=1), SpeakerIdentity()
    by: dict[tuple[str, str, str], list[Path]] = {}
    for corpus, speaker, emotion, path in clips(data):
        by.setdefault((corpus, speaker, emotion), []).append(path)
    rows = []
    for (corpus, speaker, emotion), paths in sorted(by.items()):
        for place in rng.permutation(len(paths))[: CLIPS[corpus]]:
            detector.reset()
            for turn in speech_turns(Recording.open(paths[place]).samples(rate_hz=16000, block_s=10.0), detector):
                own = turn.samples[int(turn.before_s * 16000) : len(turn.samples) - int(turn.after_s * 16000)]
                if len(own) > 8000:
                    rows.append((corpus, speaker, emotion, len(own) / 16000, network.vectors([own])[0]))
    names = ('corpus', 'speaker', 'emotion', 'seconds', 'vector')
    return {name: np.array([row[place] for row in rows]) for place, name in enumerate(names)}


def dialogues(turns: dict[str, np.ndarray], corpus: str, *, calm: bool) -> list[Turns]:
    rng = np.random.default_rng(3)
    usable = (turns['corpus'] == corpus) & (np.isin(turns['emotion'], CALM) | (not calm))
    made = []
    for _ in range(DIALOGUES):
        speakers = rng.choice(sorted(set(turns['speaker'][usable])), int(rng.integers(1, 5)), replace=False)
        rows = [
            rng.permutation(np.flatnonzero(usable & (turns['speaker'] == who)))[: rng.integers(4, 11)]
            for who in speakers
        ]
        at = np.concatenate(rows)
        made.append((turns['speaker'][at], turns['vector'][at].astype(np.float64), turns['seconds'][at]))
    return made


def judged(made: list[Turns], answers: list[list[int]]) -> dict[str, float]:
    right = named = whole = 0.0
    several, split, counts = 0, [], []
    for (speakers, _, seconds), answer in zip(made, answers, strict=True):
        numbers = np.array(answer)
        for number in set(numbers[numbers >= 0].tolist()):
            right += max(seconds[(numbers == number) & (speakers == who)].sum() for who in set(speakers.tolist()))
            named += seconds[numbers == number].sum()
        named_apart = len(set(numbers[numbers >= 0].tolist()))
        if len(set(speakers.tolist())) == 1:
            split.append(named_apart > 1)
            continue
        several += 1
        whole += seconds.sum()
        counts += [named_apart == len(set(speakers.tolist()))] if named_apart else []
    covered = sum(
        seconds[np.array(answer) >= 0].sum()
        for (speakers, _, seconds), answer in zip(made, answers, strict=True)
        if len(set(speakers.tolist())) > 1
    )
    return {
        'purity': round(right / named, 3) if named else 1.0,
        'covered': round(float(covered / whole), 3),
        'told_apart': round(len(counts) / several, 3),
        'right_number_where_told': round(float(np.mean(counts)), 3) if counts else 0.0,
        'split': round(float(np.mean(split)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with ravdess_speech/ and nemo/')
    parser.add_argument('--vectors', type=Path, default=None, help='vectors of the clips, kept between runs')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'speakers.json')
    chosen = parser.parse_args()
    if chosen.vectors is not None and chosen.vectors.exists():
        with np.load(chosen.vectors, allow_pickle=False) as archive:
            turns = dict(archive)
    else:
        turns = measured(chosen.data)
        if chosen.vectors is not None:
            np.savez(chosen.vectors, **turns)
    sets = {
        f'{corpus}, {"calm" if calm else "all emotions"}': dialogues(turns, corpus, calm=calm)
        for corpus in ('nemo', 'ravdess')
        for calm in (False, True)
    }
    tried = []
    for values in itertools.product(*GRID.values()):
        given = dict(zip(GRID, values, strict=True))
        tried.append(
            (given, {name: judged(made, [grouped(v, s, **given) for _, v, s in made]) for name, made in sets.items()})
        )
    own = [name for name in sets if name.startswith('nemo')]
    fit = [
        (given, on)
        for given, on in tried
        if all(on[name]['purity'] >= PURITY and on[name]['split'] <= MOST_SPLIT for name in own)
    ]
    best = max(fit, key=lambda each: sum(each[1][name]['covered'] for name in own))
    result = {
        'turns': {corpus: int((turns['corpus'] == corpus).sum()) for corpus in ('nemo', 'ravdess')},
        'median_turn_s': round(float(np.median(turns['seconds'])), 2),
        'chosen_on_nemo': {'thresholds': best[0], 'judged': best[1]},
        'in_use': {
            'thresholds': {'join': JOIN, 'apart': APART, 'margin': MARGIN},
            'judged': {name: judged(made, [grouped(v, s) for _, v, s in made]) for name, made in sets.items()},
        },
        'all_one': {name: judged(made, [[0] * len(s) for _, _, s in made]) for name, made in sets.items()},
        'each_turn_own': {name: judged(made, [list(range(len(s))) for _, _, s in made]) for name, made in sets.items()},
    }
    chosen.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()

"""Acoustic arousal: the norms of calm speech, high against low on a corpus left out, and its error.

    python measurements/arousal.py --data ../shared/data --cache FOLDER [--earlier FILE.npz]

RAVDESS (first repetitions; 24 speakers of English) and nEMO (every ninth clip; nine speakers of Polish), both played;
of each clip the longest turn. High: anger, fear, happiness, surprise; low: sadness, neutral, calm. A corpus is scored
with the norms of the other. `--earlier`: summaries of the same clips by an earlier affekt, read with its formula (mean
and spread of pitch, alpha ratio, rate; norms of RAVDESS), alone and against the speaker's own turns. The error under
noise and in short turns is that against the same turn clean and whole. Writes measurements/results/arousal.json.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from affekt.labels import CIRCUMPLEX
from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.voice import COLUMNS, SpeechDetector, Turn, acoustic_frames, acoustic_summary, speech_turns
from affekt.voice.arousal import CALM_SPEECH, CORRELATES, liveliness
from affekt.voice.observe import level_ratio_db, speech_only

Floats = npt.NDArray[np.float64]
Norms = Mapping[str, tuple[float, float]]

RATE_HZ = 16000
RESULT = Path(__file__).with_name('results') / 'arousal.json'
CORPORA = ('ravdess', 'nemo')
HIGH, CALM = ('anger', 'fear', 'happiness', 'surprise'), ('neutral', 'calm')
NAMES = {'angry': 'anger', 'fearful': 'fear', 'happy': 'happiness', 'sad': 'sadness', 'surprised': 'surprise'}
EARLIER_NORMS = {
    'f0_mean_hz': (87.1, 5.48), 'f0_sd_st': (2.90, 1.19), 'alpha_ratio_db': (-15.1, 2.63),
    'syllables_per_s': (3.37, 0.51),
}  # fmt: skip
LEAST_SPREAD = {
    'f0_mean_hz': 1.0, 'f0_sd_st': 0.5, 'loudness_lufs': 2.0, 'alpha_ratio_db': 1.5, 'syllables_per_s': 0.5,
}  # fmt: skip
SECONDS, RATIO = len(COLUMNS), len(COLUMNS) + 1
"""Columns of `Turns.rows` behind those of COLUMNS: seconds of speech, level ratio in dB."""


@dataclass(frozen=True)
class Turns:
    """A row per clip: summaries with pitch in semitones above 1 Hz; corpus, speaker, sex, label of each."""

    rows: Floats
    corpus: npt.NDArray[np.str_]
    speaker: npt.NDArray[np.str_]
    sex: npt.NDArray[np.str_]
    label: npt.NDArray[np.str_]

    def column(self, name: str) -> Floats:
        return np.asarray(self.rows[:, COLUMNS.index(name)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--cache', type=Path, required=True)
    parser.add_argument('--earlier', type=Path)
    parser.add_argument('--out', type=Path, default=RESULT)
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    stored = chosen.cache / 'turns.npz'
    if not stored.exists():
        extract(clips_of(chosen.data), stored)
    turns = read_turns(stored)
    both = norms_of(turns, CORPORA, tuple(CALM_SPEECH))
    result: dict[str, Any] = {
        'clips': {name: int((turns.corpus == name).sum()) for name in CORPORA},
        'norms': {
            'both corpora': both,
            **{name: norms_of(turns, (name,), tuple(CALM_SPEECH)) for name in CORPORA},
            'within a person': within_a_person(turns),
        },
        'high against low (AUC), norms of the other corpus': auc_table(turns),
        'error against the circumplex, norms of the other corpus': error_table(turns),
        'error against the clean, whole turn': spoilt(clips_of(chosen.data), both),
    }
    if chosen.earlier:
        result['high against low (AUC), earlier formula'] = earlier_table(read_turns(chosen.earlier))
    write_atomically(chosen.out, json_file(rounded(result)))


# Clips and their turns


def clips_of(data: Path) -> list[tuple[str, str, str, str, Path]]:
    """Corpus, speaker, sex, label and file of each clip."""
    clips = []
    with (data / 'ravdess_speech' / 'metadata.csv').open(newline='') as stream:
        for row in csv.DictReader(stream):
            if row['repetition'] == '1':
                label = NAMES.get(row['emotion'], row['emotion'])
                clips.append(('ravdess', row['actor'], row['gender'], label, data / 'ravdess_speech' / row['file']))
    with (data / 'nemo' / 'metadata.tsv').open(newline='') as stream:
        for row in list(csv.DictReader(stream, delimiter='\t'))[::9]:
            speaker, name = row['speaker_id'].strip(), row['file_id'].strip()[:-4] + '.opus'
            label = NAMES.get(row['emotion'], row['emotion'])
            clips.append(('nemo', speaker, row['gender'][0].upper(), label, data / 'nemo' / speaker / name))
    return clips


def longest_turn(path: Path, detector: SpeechDetector) -> Turn | None:
    """The longest turn of a clip; None where nobody speaks."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    block = SimpleNamespace(start_s=0.0, samples=np.concatenate(pieces))
    return max(speech_turns([block], detector), key=lambda turn: turn.duration_s, default=None)


def row_of(turn: Turn) -> list[float]:
    """The acoustic summary, seconds of speech and level ratio."""
    frames = acoustic_frames(turn.samples)
    speech, inside, _ = speech_only(turn, frames)
    return [*acoustic_summary(speech, inside), speech.shape[0] / RATE_HZ, level_ratio_db(frames)]


def extract(clips: Sequence[tuple[str, str, str, str, Path]], out: Path) -> None:
    """Writes the row of every clip."""
    detector = SpeechDetector()
    rows = []
    for *_, path in clips:
        turn = longest_turn(path, detector)
        rows.append(row_of(turn) if turn else [np.nan] * (len(COLUMNS) + 2))
    np.savez(out, rows=np.array(rows, np.float64), meta=np.array([clip[:4] for clip in clips]))


def read_turns(path: Path) -> Turns:
    """What `extract` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        rows, meta = stored['rows'].copy(), stored['meta']
    rows[:, COLUMNS.index('f0_mean_hz')] = 12 * np.log2(rows[:, COLUMNS.index('f0_mean_hz')])
    return Turns(rows, *(meta[:, place] for place in range(4)))


# Norms


def norms_of(turns: Turns, corpora: Sequence[str], names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of calm speech, each corpus with the same weight."""
    norms = {}
    for name in names:
        parts = [turns.column(name)[(turns.corpus == corpus) & np.isin(turns.label, CALM)] for corpus in corpora]
        means, variances = [np.nanmean(part) for part in parts], [np.nanvar(part) for part in parts]
        norms[name] = (float(np.mean(means)), float(np.sqrt(np.mean(variances) + np.var(means))))
    return norms


def within_a_person(turns: Turns) -> dict[str, float]:
    """Standard deviation from clip to clip of one speaker's calm speech, each corpus with the same weight."""
    calm = np.isin(turns.label, CALM)
    spreads = {}
    for name in CORRELATES:
        variances = []
        for corpus in CORPORA:
            inside = calm & (turns.corpus == corpus)
            speakers = sorted({*turns.speaker[inside]})
            own = [turns.column(name)[inside & (turns.speaker == speaker)] for speaker in speakers]
            variances.append(np.mean([np.nanvar(values, ddof=1) for values in own]))
        spreads[name] = float(np.sqrt(np.mean(variances)))
    return spreads


def arousal(turns: Turns, norms: Norms) -> Floats:
    """As `acoustic_arousal`, with any norms."""
    scores = [np.clip((turns.column(name) - mean) / sd, -3, 3) for name, (mean, sd) in norms.items()]
    return np.asarray(np.tanh(np.nanmean(scores, axis=0) / 2))


# What it is worth


def auc(values: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive outranks a negative, ties halved."""
    known = np.isfinite(values)
    above, below = values[known & positive], np.sort(values[known & ~positive])
    ranks = np.searchsorted(below, above, 'left') + np.searchsorted(below, above, 'right')
    return float(ranks.mean() / 2 / below.size)


def auc_table(turns: Turns) -> dict[str, dict[str, float]]:
    """Per corpus: all, either sex, within speakers; beside single columns."""
    high, counted = np.isin(turns.label, HIGH), turns.label != 'disgust'
    summaries = turns.rows[:, : len(COLUMNS)].astype(np.float32)
    summaries[:, COLUMNS.index('f0_mean_hz')] = 2 ** (summaries[:, COLUMNS.index('f0_mean_hz')] / 12)
    lively = liveliness(
        summaries, [f'{corpus} {name}' for corpus, name in zip(turns.corpus, turns.speaker, strict=True)]
    )
    table = {}
    for corpus, other in zip(CORPORA, reversed(CORPORA), strict=True):
        values = arousal(turns, norms_of(turns, (other,), tuple(CALM_SPEECH)))
        inside = counted & (turns.corpus == corpus)
        speakers = [inside & (turns.speaker == speaker) for speaker in sorted({*turns.speaker[inside]})]
        table[corpus] = {
            'arousal': auc(values[inside], high[inside]),
            'women': auc(values[inside & (turns.sex == 'F')], high[inside & (turns.sex == 'F')]),
            'men': auc(values[inside & (turns.sex == 'M')], high[inside & (turns.sex == 'M')]),
            'liveliness, against all turns of the speaker': auc(lively[inside], high[inside]),
            'within a speaker, mean': float(np.mean([auc(values[own], high[own]) for own in speakers])),
            **{f'{name} alone': auc(turns.column(name)[inside], high[inside]) for name in CORRELATES},
        }
    return table


def earlier_table(turns: Turns) -> dict[str, dict[str, float]]:
    """The earlier formula, a turn alone and among the speaker's turns, loudness included there."""
    high, counted = np.isin(turns.label, HIGH), turns.label != 'disgust'
    alone, among = arousal(turns, EARLIER_NORMS), np.full(turns.label.shape, np.nan)
    for corpus in CORPORA:
        for speaker in sorted({*turns.speaker[turns.corpus == corpus]}):
            own = (turns.corpus == corpus) & (turns.speaker == speaker)
            scores = []
            for name, least in LEAST_SPREAD.items():
                values = turns.column(name)[own]
                scores.append(np.clip((values - np.nanmean(values)) / max(np.nanstd(values), least), -3, 3))
            among[own] = np.tanh(np.nanmean(scores, axis=0) / 2)
    table = {}
    for corpus in CORPORA:
        inside = counted & (turns.corpus == corpus)
        table[corpus] = {
            'arousal': auc(alone[inside], high[inside]),
            'against all turns of the speaker': auc(among[inside], high[inside]),
        }
    return table


def error_table(turns: Turns) -> dict[str, dict[str, float]]:
    """Root mean square against the arousal of the played category, beside 0 and the best constant."""
    truth = np.array([CIRCUMPLEX['neutral' if label == 'calm' else label][1] for label in turns.label])
    table = {}
    for corpus, other in zip(CORPORA, reversed(CORPORA), strict=True):
        values = arousal(turns, norms_of(turns, (other,), tuple(CALM_SPEECH)))
        inside = (turns.corpus == corpus) & np.isfinite(values)
        error = values[inside] - truth[inside]
        table[corpus] = {
            'root mean square': float(np.sqrt(np.mean(error**2))),
            'mean': float(error.mean()),
            'of always 0': float(np.sqrt(np.mean(truth[inside] ** 2))),
            'of the best constant': float(truth[inside].std()),
            'median seconds of speech': float(np.median(turns.rows[inside, SECONDS])),
        }
    return table


def spoilt(clips: Sequence[tuple[str, str, str, str, Path]], norms: Norms) -> dict[str, dict[str, float]]:
    """Seventy clips with white or brown noise at known ratios, and cut short."""
    rng = np.random.default_rng(0)
    detector = SpeechDetector()
    errors: dict[str, list[tuple[float, float]]] = {}
    for place in rng.choice(len(clips), 70, replace=False):
        turn = longest_turn(clips[place][-1], detector)
        if turn is None:
            continue
        whole = _arousal_of(row_of(turn), norms)
        first, last = round(turn.before_s * RATE_HZ), turn.samples.shape[0] - round(turn.after_s * RATE_HZ)
        power = float(np.mean(turn.samples[first:last] ** 2))
        for ratio_db in (30, 20, 10, 5, 0):
            noise = lfilter([1], [1, -0.9 * (place % 2)], rng.standard_normal(turn.samples.shape[0]))
            noise *= np.sqrt(power / 10 ** (ratio_db / 10) / np.mean(noise**2))
            row = row_of(_changed(turn, (turn.samples + noise).astype(np.float32)))
            errors.setdefault(f'noise {ratio_db} dB below', []).append((_arousal_of(row, norms) - whole, row[RATIO]))
        for seconds in (0.4, 0.7, 1.0):
            count = round(seconds * RATE_HZ)
            if last - first > 1.3 * count:
                begin = first + int(rng.integers(0, last - first - count))
                row = row_of(Turn(0.0, seconds, turn.samples[begin : begin + count], 1.0))
                errors.setdefault(f'{seconds} s of it', []).append((_arousal_of(row, norms) - whole, row[RATIO]))
    table = {}
    for name, pairs in errors.items():
        error, ratio = np.array(pairs).T
        table[name] = {
            'root mean square': float(np.sqrt(np.nanmean(error**2))), 'mean': float(np.nanmean(error)),
            'median level ratio, dB': float(np.median(ratio)), 'clips': len(pairs),
        }  # fmt: skip
    return table


def _changed(turn: Turn, samples: npt.NDArray[np.float32]) -> Turn:
    """The turn with other samples."""
    return Turn(turn.start_s, turn.end_s, samples, turn.speech_probability, turn.before_s, turn.after_s)


def _arousal_of(row: Sequence[float], norms: Norms) -> float:
    """Of one row, pitch in Hz."""
    rows = np.array([row], np.float64)
    rows[:, COLUMNS.index('f0_mean_hz')] = 12 * np.log2(rows[:, COLUMNS.index('f0_mean_hz')])
    nothing = np.array([''])
    return float(arousal(Turns(rows, nothing, nothing, nothing, nothing), norms)[0])


def rounded(value: Any) -> Any:
    """Floats to four places, everywhere inside."""
    if isinstance(value, Mapping):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == '__main__':
    main()

"""Which recognized words are not what was said: thresholds of `affekt.text.understanding`, and how often they err.

    python measurements/words_understood.py --data SHARED_DATA --meetings DIR [--others DIR] --cache DIR [--out FILE]

Both recognizers hear clips of known language, clean and spoilt: RAVDESS and GRID (English, acted and read out), read
English, meetings (English, spontaneous, many accents; AMI, CC BY 4.0, the one-minute recordings among the tests of
pyannote-audio), and nEMO (Polish). `--others` holds recordings of further languages, named by their code (`de.wav`);
they judge only. What the recognizer states of every turn is kept in the cache.

A turn counts as heard right where at least half of its words are right, by the sentence that was said (RAVDESS, nEMO)
or else by the larger recognizer, where it heard the same clip. Rejected English that was heard right is one error,
accepted words of another language are the other. Thresholds are chosen on nEMO and all but one corpus of English, and
judged on that one and on the further languages.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from affekt.corruption import babble, coloured_noise, mix_at_snr
from affekt.text import Recognition, Recognizer, Utterance, Word, judged, judged_together
from affekt.text.understanding import compression
from affekt.typed_json import json_file
from affekt.voice import SpeechDetector, WhisperEncoder, acoustic_frames, speech_turns
from affekt.voice.acoustics import syllable_nuclei

RATE_HZ = 16_000
SEED = 12
Sound = npt.NDArray[np.float64]
SENTENCES = {'01': 'kids are talking by the door', '02': 'dogs are sitting by the door'}


@dataclass(frozen=True)
class Clip:
    """A recording of known language."""

    corpus: str
    name: str
    speaker: str
    language: str
    path: Path
    sentence: str = ''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--meetings', type=Path, required=True, help='folder of one-minute recordings of AMI')
    parser.add_argument('--others', type=Path, help='folder of recordings of other languages, de.wav and the like')
    parser.add_argument('--cache', type=Path, required=True)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'words_understood.json')
    chosen = parser.parse_args()
    rows = {name: heard(name, chosen) for name in ('tiny.en', 'base')}
    with (chosen.data / 'nemo' / 'metadata.tsv').open(encoding='utf-8', newline='') as file:
        polish = {row['file_id'].removesuffix('.wav'): row['raw_text'] for row in csv.DictReader(file, delimiter='\t')}
    for row in (*rows['tiny.en'], *rows['base']):
        row['sentence'] = row['sentence'] or polish.get(row['name'], '')
    result = {name: summary(name, rows) for name in rows}
    chosen.out.write_bytes(json_file(result))


# What the recognizers state


def heard(recognizer_name: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per turn of every clip and condition, from the cache where it is there."""
    kept = chosen.cache / f'{recognizer_name}.jsonl'
    chosen.cache.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in kept.read_text('utf-8').splitlines()] if kept.exists() else []
    done = {(row['corpus'], row['name'], row['condition']) for row in rows}
    listener = None
    clips = clips_of(chosen)
    voices = [sound_of(clip.path) for clip in clips if clip.corpus == 'ravdess'][::12]
    with kept.open('a', encoding='utf-8') as file:
        for clip, condition, spoil in jobs_of(clips if recognizer_name == 'tiny.en' else fewer(clips), voices):
            if (clip.corpus, clip.name, condition) in done:
                continue
            listener = listener or Listener(recognizer_name)
            rng = np.random.default_rng([SEED, *clip.name.encode(), *condition.encode()])
            for row in listener(spoil(sound_of(clip.path), rng)) or [{'text': None}]:
                row |= {'corpus': clip.corpus, 'name': clip.name, 'condition': condition, 'speaker': clip.speaker}
                row |= {'language': clip.language, 'sentence': clip.sentence}
                rows.append(row)
                file.write(json.dumps(row, ensure_ascii=False) + '\n')
            file.flush()
    return rows


class Listener:
    """A detector, an encoder and a recognizer."""

    def __init__(self, name: str) -> None:
        self.detector, self.encoder, self.recognizer = SpeechDetector(), WhisperEncoder(name), Recognizer(name)
        self.counts_syllables = name == 'tiny.en'

    def __call__(self, samples: Sound) -> list[dict[str, Any]]:
        """What is stated of each turn; the thresholds in force take no part."""
        block = SimpleNamespace(start_s=0.0, samples=samples.astype(np.float32))
        self.recognizer.start()
        rows = []
        for turn in speech_turns([block], self.detector):
            utterance = self.recognizer.recognize(turn, self.encoder(turn.samples))
            row: dict[str, Any] = {'start_s': round(turn.start_s, 3), 'end_s': round(turn.end_s, 3), 'text': None}
            if utterance is not None and utterance.recognition is not None:
                row |= {
                    'text': utterance.text,
                    'confidences': [round(word.confidence, 4) for word in utterance.words],
                    'log_probability': round(utterance.recognition.log_probability, 4),
                    'no_speech': round(utterance.recognition.no_speech, 4),
                    'heard_language': utterance.language,
                }
            if self.counts_syllables:
                row['syllables'] = int(syllable_nuclei(turn.samples, acoustic_frames(turn.samples).voiced))
            rows.append(row)
        return rows


def clips_of(chosen: argparse.Namespace) -> list[Clip]:
    """The clips, the same at every run: four of each actor of RAVDESS, twenty of each speaker of nEMO, all others."""
    data: Path = chosen.data
    clips = []
    for actor in range(1, 25):
        for at, emotion in enumerate((actor + k) % 8 + 1 for k in range(0, 8, 2)):
            sentence = '01' if (actor + at) % 2 else '02'
            strength = '02' if at % 2 and emotion != 1 else '01'
            name = f'03-01-{emotion:02}-{strength}-{sentence}-01-{actor:02}'
            path = data / 'ravdess_speech' / f'Actor_{actor:02}' / f'{name}.flac'
            clips.append(Clip('ravdess', name, f'ravdess {actor}', 'en', path, SENTENCES[sentence]))
    for path in sorted((data / 'clips').glob('grid_*.mpg')):
        clips.append(Clip('grid', path.stem, path.stem, 'en', path))
    for name in ('two_cities', 'beckett'):
        clips.append(Clip('read', name, name, 'en', data / 'test_media' / f'{name}.wav'))
    clips += [Clip('meetings', p.stem, p.stem, 'en', p) for p in sorted(chosen.meetings.glob('*.wav'))]
    for folder in sorted(path for path in (data / 'nemo').iterdir() if path.is_dir()):
        paths = sorted(path for path in folder.rglob('*') if path.suffix in ('.opus', '.ogg', '.flac', '.wav'))
        draws = np.random.default_rng([SEED, *folder.name.encode()]).permutation(len(paths))[:20]
        clips += [Clip('nemo', paths[at].stem, f'nemo {folder.name}', 'pl', paths[at]) for at in draws]
    if chosen.others:
        clips += [Clip('others', p.stem, p.stem, p.stem[:2], p) for p in sorted(chosen.others.glob('*.wav'))]
    return clips


def fewer(clips: list[Clip]) -> list[Clip]:
    """A sixth of the acted clips, and all others: the larger recognizer takes three times as long."""
    acted = {corpus: [clip for clip in clips if clip.corpus == corpus] for corpus in ('ravdess', 'nemo')}
    return [*acted['ravdess'][::6], *(clip for clip in clips if clip.corpus not in acted), *acted['nemo'][::6]]


def jobs_of(
    clips: list[Clip], voices: list[Sound]
) -> Iterator[tuple[Clip, str, Callable[[Sound, np.random.Generator], Sound]]]:
    """Every clip clean; a third of RAVDESS, a sixth of nEMO, and what is read out also spoilt in each way."""
    for clip in clips:
        yield clip, 'clean', lambda sound, rng: sound
    spoilt = [clip for clip in clips if clip.corpus == 'ravdess'][::3]
    spoilt += [clip for clip in clips if clip.corpus == 'nemo'][::6]
    spoilt += [clip for clip in clips if clip.corpus in ('read', 'grid')]
    for condition, spoil in conditions(voices).items():
        for clip in spoilt:
            yield clip, condition, spoil


def conditions(voices: list[Sound]) -> dict[str, Callable[[Sound, np.random.Generator], Sound]]:
    """Ways in which a recording is spoilt, by name."""
    return {
        **{f'noise {snr} dB': noisy(snr) for snr in (10, 0)},
        **{f'babble {snr} dB': crowded(snr, voices) for snr in (10, 3)},
        **{f'reverberation {seconds} s': reverberant(seconds) for seconds in (0.5, 1.2)},
        'telephone': lambda sound, rng: coded(telephone_band(sound), 'libopencore_amrnb', 8000, 4750),
        'low bitrate': lambda sound, rng: coded(sound, 'libopus', 16_000, 6000),
    }


def noisy(snr_db: float) -> Callable[[Sound, np.random.Generator], Sound]:
    return lambda sound, rng: (
        mix_at_snr(sound, coloured_noise('pink', sound.size, rng), snr_db, RATE_HZ, 'active').samples
    )


def crowded(snr_db: float, voices: list[Sound]) -> Callable[[Sound, np.random.Generator], Sound]:
    return lambda sound, rng: (
        mix_at_snr(sound, babble(voices, sound.size, RATE_HZ, rng), snr_db, RATE_HZ, 'active').samples
    )


def reverberant(seconds: float) -> Callable[[Sound, np.random.Generator], Sound]:
    """A room in which sound falls by 60 dB in so many seconds: noise under an exponential behind the direct sound."""

    def spoil(sound: Sound, rng: np.random.Generator) -> Sound:
        from scipy.signal import fftconvolve

        at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        response = rng.standard_normal(at.size) * 10.0 ** (-3.0 * at / seconds)
        response *= 1.0 / np.sqrt(np.square(response).sum())  # as much reflected as direct energy
        response[0] += 1.0
        wet = fftconvolve(sound, response)
        return np.asarray(wet * np.abs(sound).max() / np.abs(wet).max())

    return spoil


def telephone_band(sound: Sound) -> Sound:
    from scipy.signal import butter, sosfiltfilt

    return np.asarray(sosfiltfilt(butter(4, (300, 3400), 'bandpass', fs=RATE_HZ, output='sos'), sound))


def coded(sound: Sound, codec: str, rate_hz: int, bit_rate: int) -> Sound:
    """The sound after a codec at a bit rate, at 16 kHz again."""
    encoder = av.CodecContext.create(codec, 'w')
    encoder.format, encoder.layout, encoder.sample_rate = 's16', 'mono', rate_hz
    encoder.bit_rate = bit_rate
    encoder.open()
    size = encoder.frame_size or 960
    down = resampled(sound, RATE_HZ, rate_hz)
    whole = np.concatenate([down, np.zeros(-down.size % size + size)])
    packets = []
    for begin in range(0, whole.size, size):
        values = np.round(np.clip(whole[begin : begin + size], -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(values, format='s16', layout='mono')
        frame.sample_rate, frame.pts = rate_hz, begin
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create('libopus' if codec == 'libopus' else 'libopencore_amrnb', 'r')
    decoder.sample_rate, decoder.layout = (48_000 if codec == 'libopus' else rate_hz), 'mono'
    decoder.open()
    pieces = []
    for packet in packets:
        for frame in decoder.decode(packet):
            values = frame.to_ndarray().astype(np.float64).ravel()
            pieces.append(values / 32768 if frame.format.name.startswith('s16') else values)
            played_hz = frame.sample_rate
    return resampled(np.concatenate(pieces), played_hz, RATE_HZ)[: sound.size]


def resampled(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    from scipy.signal import resample_poly

    if from_hz == to_hz:
        return sound
    common = int(np.gcd(from_hz, to_hz))
    return np.asarray(resample_poly(sound, to_hz // common, from_hz // common))


def sound_of(path: Path) -> Sound:
    """The sound of a file, mono at 16 kHz."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float64)


# What follows from it


@dataclass(frozen=True)
class Turns:
    """T recognized turns of one recognizer as arrays."""

    corpus: npt.NDArray[np.str_]
    condition: npt.NDArray[np.str_]
    recording: npt.NDArray[np.str_]
    is_english: npt.NDArray[np.bool_]
    heard_right: npt.NDArray[np.float64]
    """1 where at least half of the words of English are right, 0 where not; nan where nobody can say."""
    signals: dict[str, npt.NDArray[np.float64]]
    utterances: tuple[Utterance, ...]


def turns_of(name: str, rows: list[dict[str, Any]], larger: dict[tuple[str, str, str], str]) -> Turns:
    """The turns with words; what the larger recognizer heard tells which are right, where no sentence is known."""
    spoken = [row for row in rows if row['text'] and row['confidences']]
    right = []
    for row in spoken:
        known = row['sentence'] or larger.get((row['corpus'], row['name'], row['condition']), '')
        right.append(np.nan if not known else float(is_mostly_in(row['text'], known)))
    language = np.array([row['language'] for row in spoken])
    mean = np.array([np.mean(row['confidences']) for row in spoken])
    seconds = np.array([row['end_s'] - row['start_s'] for row in spoken])
    words = np.array([len(row['text'].split()) for row in spoken])
    signals = {
        'mean confidence of the words': mean,
        'median confidence': np.array([np.median(row['confidences']) for row in spoken]),
        'lower quarter of the confidences': np.array([np.quantile(row['confidences'], 0.25) for row in spoken]),
        'log probability': np.array([row['log_probability'] for row in spoken]),
        'speech rather than none': -np.array([row['no_speech'] for row in spoken]),
        'little repetition': -np.array([compression(row['text']) for row in spoken]),
        'words per second': words / seconds,
    }
    if name == 'tiny.en':
        signals['words per syllable heard'] = words / np.maximum([row['syllables'] for row in spoken], 1)
    return Turns(
        np.array([row['corpus'] for row in spoken]), np.array([row['condition'] for row in spoken]),
        np.array([f'{row["speaker"]} {row["condition"]}' for row in spoken]),
        language == 'en', np.array(right), signals,
        tuple(utterance_of(row, name) for row in spoken),
    )  # fmt: skip


def utterance_of(row: dict[str, Any], name: str) -> Utterance:
    words = tuple(Word(row['start_s'], row['end_s'], '', sure) for sure in row['confidences'])
    recognition = Recognition(row['log_probability'], row['no_speech'], name == 'tiny.en')
    utterance = Utterance(row['start_s'], row['end_s'], '', row['text'], words, row['heard_language'], recognition)
    return judged(utterance)


def is_mostly_in(text: str, whole: str) -> bool:
    """Whether at least half of the words of a text stand in another one in the same order."""
    left, right = (re.findall(r"[^\W\d_]+(?:'\w+)?", each.casefold()) for each in (text, whole))
    return sum(block.size for block in SequenceMatcher(None, left, right, False).get_matching_blocks()) >= len(left) / 2


def summary(name: str, rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Signals, thresholds with one corpus left out, and the errors of the rule that is in force."""
    larger: dict[tuple[str, str, str], str] = {}
    if name == 'tiny.en':
        for row in rows['base']:
            key = (row['corpus'], row['name'], row['condition'])
            larger[key] = f'{larger.get(key, "")} {row["text"] or ""}'
    turns = turns_of(name, rows[name], larger)
    if name == 'base':
        return {
            'turns': len(turns.utterances),
            'right_against_wrong': {
                signal: round(roc(values[turns.heard_right == 1], values[turns.heard_right == 0]), 4)
                for signal, values in turns.signals.items()
            },
            'errors_in_force': errors_by_condition(turns),
            'whole_recordings': recordings(turns),
        }
    english, chosen_on = turns.is_english & (turns.heard_right != 0), np.isin(turns.corpus, ('nemo',))
    clean = turns.condition == 'clean'
    return {
        'turns': len(turns.utterances),
        'area_under_the_curve': {
            signal: {
                'clean': round(roc(values[english & clean], values[~turns.is_english & clean]), 4),
                'all conditions': round(roc(values[english], values[~turns.is_english]), 4),
            }
            for signal, values in turns.signals.items()
        },
        'thresholds': thresholds(turns, english, chosen_on),
        'errors_in_force': errors_by_condition(turns),
        'whole_recordings': recordings(turns),
    }


def thresholds(turns: Turns, english: npt.NDArray[np.bool_], chosen_on: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The mean confidence with the least sum of both errors, corpora of English weighed alike, one of them left out."""
    values = turns.signals['mean confidence of the words']
    grid = np.round(np.arange(0.30, 0.76, 0.01), 2)
    corpora = sorted(set(turns.corpus[english]))
    levels: dict[str, Any] = {}
    for left_out in (*corpora, 'none'):
        used = [corpus for corpus in corpora if corpus != left_out]
        sums = [
            np.mean([(values[english & (turns.corpus == corpus)] < level).mean() for corpus in used])
            + (values[chosen_on] >= level).mean()
            for level in grid
        ]
        level = float(grid[int(np.argmin(sums))])
        judging = english & (turns.corpus == left_out) if left_out != 'none' else english
        others = turns.corpus == 'others'
        levels[left_out] = {
            'threshold': level,
            'rejected_though_right': share(values[judging] < level),
            'accepted_of_other_languages': share(values[others] >= level) if others.any() else None,
        }
    return levels


def errors_by_condition(turns: Turns) -> dict[str, dict[str, Any]]:
    """For every corpus and condition: the share that the rule in force believes, of English also by right and wrong."""
    believed = np.array([not utterance.reason for utterance in turns.utterances])
    table = {}
    for corpus in sorted(set(turns.corpus)):
        for condition in sorted(set(turns.condition[turns.corpus == corpus])):
            rows = (turns.corpus == corpus) & (turns.condition == condition)
            right, wrong = rows & (turns.heard_right == 1), rows & (turns.heard_right == 0)
            table[f'{corpus}, {condition}'] = {
                'turns': int(rows.sum()),
                'believed': share(believed[rows]),
                **({'right': int(right.sum()), 'right_but_rejected': share(~believed[right])} if right.any() else {}),
                **({'wrong': int(wrong.sum()), 'wrong_but_believed': share(believed[wrong])} if wrong.any() else {}),
            }
    return table


def recordings(turns: Turns) -> dict[str, dict[str, float | int]]:
    """The same after the rule for whole recordings; all clips of a speaker and condition make up one recording."""
    believed: dict[str, list[bool]] = {}
    for recording in sorted(set(turns.recording)):
        rows = np.flatnonzero(turns.recording == recording)
        together = judged_together([turns.utterances[row] for row in rows])
        for row, utterance in zip(rows, together, strict=True):
            noise = 'clean' if turns.condition[row] == 'clean' else 'spoilt'
            believed.setdefault(f'{turns.corpus[row]}, {noise}', []).append(not utterance.reason)
    return {name: {'turns': len(flags), 'believed': share(np.array(flags))} for name, flags in sorted(believed.items())}


def roc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float:
    """The share of pairs in which the positive one is larger, ties counting half."""
    larger = (positive[:, None] > negative[None, :]).mean() + 0.5 * (positive[:, None] == negative[None, :]).mean()
    return float(larger)


def share(flags: npt.NDArray[np.bool_]) -> float:
    return round(float(flags.mean()), 4) if flags.size else float('nan')


if __name__ == '__main__':
    main()

"""Which recognized words are not what was said: thresholds of `affekt.text.understanding`, and how often they err.

    python measurements/words_understood.py --data SHARED_DATA --meetings DIR [--others DIR] --cache DIR [--out FILE]

Both recognizers hear clips of known language, clean and spoilt: RAVDESS and GRID (English, acted and read out), read
English, meetings (English, spontaneous, many accents; AMI, CC BY 4.0, the one-minute recordings among the tests of
pyannote-audio), and nEMO (Polish). `--others` holds recordings of further languages, named by their code (`de.wav`);
they judge only. What the recognizer states of every turn is kept in the cache.

A turn of English counts as heard right where at least half of its words are right, by the sentence that was said
(RAVDESS) or else by the larger recognizer. Rejected English that was heard right is one error, accepted words of
another language are the other. Thresholds are chosen leaving one corpus of English out, and judged on that one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import numpy.typing as npt

from affekt.corruption import babble, coloured_noise, mix_at_snr
from affekt.text.recognition import Recognizer
from affekt.voice import SpeechDetector, WhisperEncoder, acoustic_frames, speech_turns
from affekt.voice.acoustics import syllable_nuclei

RATE_HZ = 16_000
SEED = 12
Sound = npt.NDArray[np.float64]
SENTENCES = {'01': 'kids are talking by the door', '02': 'dogs are sitting by the door'}
NEVER = -9.0


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
    turns = {name: heard(name, chosen) for name in ('tiny.en', 'base')}
    result = {name: summary(name, turns) for name in turns}
    chosen.out.write_text(json.dumps(result, indent=1) + '\n')


# What the recognizers state


def heard(recognizer_name: str, chosen: argparse.Namespace) -> list[dict[str, object]]:
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

    def __call__(self, samples: Sound) -> list[dict[str, object]]:
        """What is stated of each turn; the thresholds in force take no part."""
        block = SimpleNamespace(start_s=0.0, samples=samples.astype(np.float32))
        self.recognizer.start()
        rows = []
        for turn in speech_turns([block], self.detector):
            said = self.recognizer.recognize(turn, self.encoder(turn.samples))
            row: dict[str, object] = {'start_s': round(turn.start_s, 3), 'end_s': round(turn.end_s, 3), 'text': None}
            if said is not None and said.recognition is not None:
                row |= {
                    'text': said.text,
                    'confidences': [round(word.confidence, 4) for word in said.words],
                    'log_probability': round(said.recognition.log_probability, 4),
                    'no_speech': round(said.recognition.no_speech, 4),
                    'heard_language': said.language,
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


def summary(name: str, turns: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    return {'turns': len(turns[name])}


if __name__ == '__main__':
    main()

"""A small synthetic corpus with known answers, for tests, examples and trying out a protocol.

Eight pairs of speakers have three dialogues each. An utterance's category is *happy*, *sad* or *neutral* in turn, its
valence follows from the category, and its text states it in words; no speaker or dialogue crosses the splits.
"""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from affekt.corpora.manifest import Facts, Manifest, Sample

CATEGORIES = ('neutral', 'happy', 'sad')
_VALENCE = {'neutral': 0.0, 'happy': 2.0, 'sad': -2.0}
_SENTENCES = {
    'neutral': ('The table is in the room', 'It is four by the clock', 'The bus stops at the corner'),
    'happy': ('What a wonderful day', 'I love this so much', 'We won, I am so glad'),
    'sad': ('I miss her every day', 'Everything is lost now', 'I could only cry'),
}
_SPLITS = {'train': 4, 'val': 2, 'test': 2}
"""Number of pairs of speakers per split."""
DIALOGUES, TURNS = 3, 6
"""Number of dialogues per pair of speakers, and of turns per dialogue."""
RATE_HZ = 16_000


def made_up_corpus(seed: int = 0, media: Path | None = None) -> Manifest:
    """The corpus: 8 pairs of speakers, 3 dialogues each, 6 turns each: 144 samples, 48 of each category.

    Args:
        seed: seed of small changes in valence and of the choice of sentences.
        media: folder for a short wav per sample, its pitch 200 Hz for neutral, 300 for happy, 120 for sad; None for no
            audio.

    Returns:
        A manifest with split, fold, speaker, dialogue, session, times, text, category, valence and sentiment.
    """
    rng = np.random.default_rng(seed)
    samples = tuple(_samples(rng))
    if media is not None:
        media.mkdir(parents=True, exist_ok=True)
        samples = tuple(_with_audio(row, media) for row in samples)
    facts = Facts(
        corpus='made up', version='1', language='en', categories=CATEGORIES,
        ranges={'valence': (-3.0, 3.0), 'sentiment': (-1.0, 1.0)},
        published={split: pairs * DIALOGUES * TURNS for split, pairs in _SPLITS.items()},
        root=str(media or ''), sources={}, notes=(),
    )  # fmt: skip
    return Manifest(facts, samples)


def _samples(rng: np.random.Generator) -> Iterator[Sample]:
    pair = 0
    for split, pairs in _SPLITS.items():
        for _ in range(pairs):
            pair += 1
            for dialogue in range(1, DIALOGUES + 1):
                for turn in range(TURNS):
                    category = CATEGORIES[(turn + dialogue) % 3]
                    sentence = str(rng.choice(_SENTENCES[category]))
                    name = f'pair{pair:02d}_d{dialogue}'
                    yield Sample(
                        f'{name}_t{turn}', text=sentence, english=sentence, category=category,
                        valence=round(_VALENCE[category] + float(rng.normal(0, 0.25)), 3),
                        sentiment=float(np.sign(_VALENCE[category])),
                        speaker=f'pair{pair:02d}{"AB"[turn % 2]}', dialogue=name, session=f'pair{pair:02d}',
                        recording=name, start_s=2.0 * turn, end_s=2.0 * turn + 1.5, split=split,
                        fold=(pair - 1) // 2 + 1,
                    )  # fmt: skip


def _with_audio(row: Sample, folder: Path) -> Sample:
    """The row with one second of five harmonics, whose pitch tells the category, written as a wav."""
    pitch = {'neutral': 200.0, 'happy': 300.0, 'sad': 120.0}[row.category or 'neutral']
    time = np.arange(RATE_HZ) / RATE_HZ
    samples = (
        sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in range(1, 6))
        * np.sin(np.pi * time) ** 2
    )
    with wave.open(str(folder / f'{row.sample}.wav'), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((6000 * np.asarray(samples)).astype('<i2').tobytes())
    return dataclasses.replace(row, audio=f'{row.sample}.wav')

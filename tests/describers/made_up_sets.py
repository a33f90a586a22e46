"""Made-up sets of MER-UniBench with clips, and what a server answers that hears them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import seeing

from affekt.corpora import Facts, Manifest, Sample
from affekt.media import write_audio
from affekt.media.synthetic import tone

EMOTIONS = ('anger', 'joy', 'sadness', 'neutral')
WORDS = {'anger': 'angry', 'joy': 'joyful', 'sadness': 'sad', 'neutral': 'neutral'}
PITCH_HZ = {'anger': 200.0, 'joy': 400.0, 'sadness': 800.0, 'neutral': 1600.0}


def write_table(path: Path, **columns: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def made_up_sets(folder: Path, size: int = 12) -> tuple[Path, Path]:
    """Labels and clips of MELD (tones whose pitch is the emotion), CH-SIMS and OV-MERD+ (words alone)."""
    names = [f'meld_dia{index // 4}_{index}' for index in range(size)]
    emotions = [EMOTIONS[index % 4] for index in range(size)]
    write_table(folder / 'labels' / 'meld.csv', name=names, label=emotions)
    write_table(folder / 'labels' / 'sims.csv', name=['v_1', 'v_2', 'w_1'], sentiment=[0.8, -0.4, 0.0])
    write_table(folder / 'labels' / 'ovmerdplus.csv', name=['s1', 's2'], openset=["['happy', 'glad']", "['afraid']"])
    media = folder / 'media'
    media.mkdir(parents=True)
    for emotion, pitch in PITCH_HZ.items():
        write_audio(media / f'{emotion}.wav', tone(0.5, pitch), 16_000)
    rows = [
        Sample(name, audio=f'{emotion}.wav', text=f'I say {index}.')
        for index, (name, emotion) in enumerate(zip(names, emotions, strict=True))
    ]
    facts = Facts('made up', categories=EMOTIONS, root=str(media))
    Manifest(facts, [*rows, Sample('other')]).save(media / 'meld.parquet')
    write_table(media / 'sims.csv', name=['v_1', 'v_2', 'w_1'], text=['I love it', 'I hate it', 'Well'])
    write_table(media / 'ovmerdplus.csv', name=['s1', 's2'], text=['I love it', 'Help me'])
    return folder / 'labels', media


def hears(question: dict) -> str:
    """A model that tells the emotion by pitch, and by words where there is no sound; answers probes too."""
    parts = seeing.content_of(question)
    text = parts[-1]['text']
    if 'emotional state' not in text:
        return seeing.answer(question)
    sounds = [seeing.sound_in(part) for part in parts if part['type'] == 'input_audio']
    if sounds:
        spectrum = np.abs(np.fft.rfft(sounds[0][2000:6000]))
        heard = np.argmax(spectrum) * 16_000 / 4000
        emotion = min(PITCH_HZ, key=lambda name: abs(PITCH_HZ[name] - heard))
        return f"The character's emotional state is {WORDS[emotion]}. The voice is at {heard:.0f} Hz."
    said = json.loads(re.search(r'\{"says".*\}', text).group(0))['says']
    word = 'happy' if 'love' in said else 'disgusted' if 'hate' in said else 'afraid' if 'Help' in said else 'neutral'
    return f"The character's emotional state is {word}."

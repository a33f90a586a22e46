"""The cards of the vocal emotion heads (one for machines, one for people) and their figure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affekt.labels import RAVDESS8

LIMITS = (
    'Learned from acted North American English: two sentences, 24 actors, one studio. How people sound when they feel '
    'something is another matter; read it as how a voice comes across.',
    'Other languages, ages, illnesses, singing, shouting over noise and speech through masks were not measured here. '
    'Acted corpora are known to read each other at about 0.3 UAR where they read themselves at 0.7.',
    'Plain reading, which no actor spoke, leaves it unsure: of the 7 turns of a read text the head over tiny.en '
    'abstains on 5 and calls 2 neutral.',
    'Not for decisions about a person. Not for commercial use: the recordings forbid it, and it derives from them.',
)


def write_card(path: Path, encoder: str, results: Mapping[str, Any], chosen: Any, candidates: int) -> None:
    """Both cards beside the head's file."""
    card = {
        'name': path.stem,
        'task': 'eight acted emotions in a voice, from layers of a Whisper encoder',
        'encoder': encoder,
        'data': 'RAVDESS speech (Livingstone & Russo 2018, doi:10.1371/journal.pone.0196391): 1,440 clips, 24 actors',
        'licence': 'CC BY-NC-SA 4.0, as the recordings',
        'commercial_ok': False,
        'labels': list(RAVDESS8),
        'inputs': 'pooled statistics of the layers over the frames of a turn at 16 kHz and -26 dBFS; see '
        'affekt.voice.emotion.VocalEmotion.features',
        'outputs': 'probabilities of the eight labels; seven categories by adding calm to neutral',
        'split': 'six folds of four actors, two of either gender; outer folds measure, inner folds choose',
        'selection': {
            'by': 'mean UAR of clean and altered copies on inner folds, ties to the stronger penalty'
            if candidates > 1
            else 'nothing: statistics and penalty as another encoder chose them',
            'candidates': candidates,
            'statistics': list(chosen.choice.statistics),
            'penalty': chosen.choice.penalty,
            'inner_uar_clean': round(chosen.clean, 4),
            'inner_uar_altered': round(chosen.altered, 4),
        },
        'training_copies': 'clean; once altered (tempo, pitch, rooms, microphones, noise, babble, bands, codecs, '
        'clipping); once with every other clip joined to up to 14 s',
        'prior': dict.fromkeys(('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise'), 0.125)
        | {'neutral': 0.25},
        'metrics': results,
        'calibration': results['calibration'] | {'temperature': round(chosen.temperature, 4)},
        'abstains_below': round(chosen.threshold, 4),
        'limits': list(LIMITS),
        'recipe': 'recipes/vocal_emotion/train.py',
        'bytes': path.stat().st_size,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix('.json').write_text(json.dumps(card, indent=1, allow_nan=False) + '\n')
    path.with_suffix('.md').write_text(page(card))


def page(card: Mapping[str, Any]) -> str:
    """The card for people."""
    found = card['metrics']
    head = found['headline']
    stated = found['abstention']
    lines = [
        f'# Vocal emotion over Whisper {card["encoder"]}',
        '',
        f'Eight acted emotions in a voice, from layers of the encoder. {card["data"]}. Licence: {card["licence"]}.',
        '',
        '## On actors that took no part',
        '',
        '| | value | 95 % interval, actors drawn |',
        '| --- | --- | --- |',
        _row('UAR, eight labels', head['uar']),
        _row('WAR, eight labels', head['war']),
        _row('UAR, seven categories', head['uar7']),
        _row('UAR, the other statement and other actors', head['other_statement_uar']),
    ]
    lines += [f'| {name.replace("_", " ")} | {value:.3f} | |' for name, value in found['baselines'].items()]
    lines += ['', 'Recall: ' + ', '.join(f'{name} {value:.2f}' for name, value in found['recall'].items()) + '.', '']
    lines += ['## How it holds', '', 'UAR on 288 clips of unseen actors, altered in ways that training never used.', '']
    lines += ['| alteration | UAR | 95 % interval | the same clips clean |', '| --- | --- | --- | --- |']
    for name, row in found['robustness'].items():
        lines.append(f'| {name} | {row["value"]:.3f} | {row["low"]:.3f}-{row["high"]:.3f} | {row["clean"]:.3f} |')
    lines += [
        '',
        '## How sure it is',
        '',
        f'Calibration error {found["calibration"]["ece_before"]:.3f}, after temperature '
        f'{found["calibration"]["ece_after"]:.3f}. It abstains where its surest category has less than '
        f'{card["abstains_below"]:.2f}. With thresholds from other actors it names {stated["clean_coverage"]:.0%} of '
        f'the clean clips and is right on {stated["clean_accuracy_where_named"]:.0%} of these '
        f'({stated["clean_accuracy_of_all"]:.0%} of all); of altered clips it names {stated["altered_coverage"]:.0%} '
        f'and is right on {stated["altered_accuracy_where_named"]:.0%} of these '
        f'({stated["altered_accuracy_of_all"]:.0%} of all).',
        '',
        '| share named | accuracy |',
        '| --- | --- |',
        *[f'| {row["coverage"]:.2f} | {row["accuracy"]:.3f} |' for row in found['coverage'][::3]],
        '',
        '## Short turns',
        '',
        'Seconds cropped from the middle of 288 clips. The scores of short turns are divided by more, so that the '
        'confidence falls with what can be known.',
        '',
        '| seconds | accuracy, seven categories | mean confidence | share named | accuracy where named |',
        '| --- | --- | --- | --- | --- |',
        *[
            f'| {" | ".join("-" if value is None else str(value) for value in row.values())} |'
            for row in found['short']
        ],
        '',
        '## Centring on the recording',
        '',
        'Taking off a share alpha of the mean score over a recording helps where a person shows many emotions and '
        'harms where there is one. It is therefore done only when asked for.',
        '',
        '| recordings | alpha | UAR |',
        '| --- | --- | --- |',
        *[f'| {row["recordings"]} | {row["alpha"]} | {row["uar"]:.3f} |' for row in found['own_turns']],
        '',
        '## Arousal from acoustics alone',
        '',
        *[f'- {name}: {value}' for name, value in found['arousal'].items()],
        '',
        '## Limits',
        '',
        *[f'- {limit}' for limit in card['limits']],
        '',
        f'Made by `{card["recipe"]}`; {card["bytes"]} bytes, sha256 `{card["sha256"]}`.',
        '',
    ]
    return '\n'.join(lines)


def _row(name: str, found: Mapping[str, float]) -> str:
    """A table row with an interval."""
    return f'| {name} | {found["value"]:.3f} | {found["low"]:.3f}-{found["high"]:.3f} |'


def write_figure(path: Path, encoder: str, results: Mapping[str, Any]) -> None:
    """Confusions as shares of the true label, and accuracy by share named."""
    counts = np.array(results['confusion'], float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 400" font-family="sans-serif" font-size="12">',
        '<rect width="860" height="400" fill="#ffffff"/>',
        f'<text x="20" y="24" font-size="15">Vocal emotion, Whisper {encoder}: unseen actors</text>',
        '<text x="100" y="48">true label (rows), read as (columns), percent</text>',
    ]
    for row, truth in enumerate(RAVDESS8):
        top = 62 + row * 36
        parts.append(f'<text x="92" y="{top + 23}" text-anchor="end">{truth}</text>')
        parts.append(f'<text x="{118 + row * 38}" y="366" text-anchor="middle" font-size="9">{truth}</text>')
        for column in range(len(RAVDESS8)):
            share = shares[row, column]
            shade = ','.join(str(round(255 - share * (255 - dark))) for dark in (8, 69, 148))
            ink = '#ffffff' if share > 0.45 else '#222222'
            left = 100 + column * 38
            parts.append(f'<rect x="{left}" y="{top}" width="36" height="34" fill="rgb({shade})"/>')
            parts.append(
                f'<text x="{left + 18}" y="{top + 22}" text-anchor="middle" fill="{ink}">{100 * share:.0f}</text>'
            )
    curve = ' '.join(f'{500 + 320 * p["coverage"]:.1f},{350 - 288 * p["accuracy"]:.1f}' for p in results['coverage'])
    parts += [
        '<text x="500" y="48">accuracy among the surest, by share named</text>',
        '<path d="M500 62V350H820" fill="none" stroke="#222222"/>',
        f'<polyline points="{curve}" fill="none" stroke="#084594" stroke-width="2"/>',
    ]
    for mark in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<text x="494" y="{354 - 288 * mark:.0f}" text-anchor="end">{mark:g}</text>')
        parts.append(f'<text x="{500 + 320 * mark:.0f}" y="368" text-anchor="middle">{mark:g}</text>')
    path.write_text('\n'.join([*parts, '</svg>', '']))

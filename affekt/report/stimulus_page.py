"""A set of stimuli as one self-contained HTML file: portraits, requested and measured values, all rows."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.pages import escaped, whole_page
from affekt.wording import signed

THUMBNAIL = 128
"""Longest side of a portrait in pixels."""
SIGNED = '+.2f'
SHOWN = (
    ('person', 'Person', ''), ('emotion', 'Emotion', ''), ('intensity', 'Requested', '.2f'),
    ('measured_rise', 'Rise of the named scores', SIGNED), ('measured_share', 'Probability of the emotion', '.2f'),
    ('measured_category', 'Read as', ''), ('measured_valence', 'Valence', SIGNED),
    ('measured_arousal', 'Arousal', SIGNED), ('measured_luminance', 'Luminance', '.3f'),
    ('measured_identity_distance', 'Distance from the portrait', '.2f'), ('file', 'File', ''),
)  # fmt: skip
"""Columns of the table: name in the rows, title, format."""
READING = (
    "Rise: by how much the scores that the emotion's recipe names, summed, are above those of the portrait at rest.",
    'Probability of the requested emotion, and the most probable one of seven (read as): by the network with which '
    'affekt analyzes faces. Trained on photographs of strong expressions, it reads most slight ones as neutral.',
    'Distance from the portrait: largest distance by the face identity network; the same person stays below 0.5. Empty '
    'where that network was not installed.',
    'Luminance: mean of the face in linear light over the whole clip, 0 to 1.',
)


def stimulus_page(
    rows: Sequence[Mapping[str, Any]], portraits: Mapping[str, npt.NDArray[np.uint8]], left_out: Mapping[str, str],
    name: str, notes: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """The page as HTML.

    Args:
        rows: rows of the table of stimuli, with the columns of SHOWN.
        portraits: name of each person to the portrait, (H, W, 3) RGB.
        left_out: portraits that could not be used, with the reason.
        name: name of the set.
        notes: name of each person to sentences on the portrait; None for none.
    """
    counts = {'clips': len(rows), 'persons': len(portraits), 'left out': len(left_out)}
    totals = ''.join(f'<div><dt>{escaped(label)}</dt><dd>{count:,}</dd></div>' for label, count in counts.items())
    reasons = ''.join(f'<li>{escaped(file)}: {escaped(reason)}</li>' for file, reason in left_out.items())
    remarks = ''.join(f'<li>{escaped(person)}: {escaped(note)}</li>' for person, note in (notes or {}).items())
    lists = ''.join(
        f'<ul class="notes" aria-label="{label}">{items}</ul>'
        for label, items in (('Left out', reasons), ('Portraits', remarks))
        if items
    )
    people = ''.join(
        f'<figure><img alt="{escaped(person)}" src="{_thumbnail(image)}"><figcaption>{escaped(person)}</figcaption>'
        '</figure>'
        for person, image in portraits.items()
    )
    explanations = ''.join(f'<li>{escaped(explanation)}</li>' for explanation in READING)
    body = '\n'.join([
        f'<section class="head"><h1>Stimuli: {escaped(name)}</h1><dl class="facts">{totals}</dl>{lists}</section>',
        f'<section class="part"><h2>Portraits, equally bright</h2><div class="figures">{people}</div></section>',
        _section('By emotion and intensity, mean of all persons', _means(rows)),
        _section('All clips', _table(rows)),
        f'<section class="part"><h2>How to read it</h2><ul class="soft">{explanations}</ul></section>',
    ])  # fmt: skip
    return whole_page(f'Stimuli: {name}', name, body)


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[float, float]]:
    """Emotion to intensity, ascending, to the mean rise over all persons; nan where nobody's was measured."""
    rises: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        measured = rises.setdefault(str(row['emotion']), {}).setdefault(float(row['intensity']), [])
        if math.isfinite(float(row['measured_rise'])):
            measured.append(float(row['measured_rise']))
    return {
        emotion: {level: float(np.mean(values)) if values else math.nan for level, values in sorted(of_emotion.items())}
        for emotion, of_emotion in rises.items()
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of emotions by intensities."""
    by_emotion = means(rows)
    intensities = sorted({intensity for of_emotion in by_emotion.values() for intensity in of_emotion})
    headers = ''.join(f'<th scope="col">{intensity:.2f}</th>' for intensity in intensities)
    lines = ''.join(
        f'<tr><th scope="row">{escaped(emotion)}</th>'
        + ''.join(f'<td>{_cell(of_emotion.get(level, math.nan), SIGNED)}</td>' for level in intensities)
        + '</tr>'
        for emotion, of_emotion in by_emotion.items()
    )
    return f'<table><thead><tr><th scope="col">Rise</th>{headers}</tr></thead><tbody>{lines}</tbody></table>'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    headers = ''.join(f'<th scope="col">{escaped(title)}</th>' for _, title, _ in SHOWN)
    body = ''.join(
        '<tr>' + ''.join(f'<td>{_cell(row[name], format_spec)}</td>' for name, _, format_spec in SHOWN) + '</tr>'
        for row in rows
    )
    return f'<table><thead><tr>{headers}</tr></thead><tbody>{body}</tbody></table>'


def _section(title: str, table: str) -> str:
    return (
        f'<section class="part"><h2>{escaped(title)}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escaped(title)}">{table}</div></section>'
    )


def _cell(value: object, format_spec: str) -> str:
    """Text of a cell; '' for nan."""
    if isinstance(value, (int, float)) and format_spec:
        if math.isnan(value):
            return ''
        return signed(value) if format_spec == SIGNED else format(value, format_spec)
    return escaped(value)


def _thumbnail(image: npt.NDArray[np.uint8]) -> str:
    thumbnail = PillowImage.fromarray(image)
    thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    thumbnail.save(buffer, 'JPEG', quality=80)
    return f'data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}'

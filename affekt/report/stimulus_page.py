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

THUMBNAIL = 128
SHOWN = (
    ('person', 'Person', ''), ('emotion', 'Emotion', ''), ('intensity', 'Requested', '.2f'),
    ('measured_rise', 'Rise of the named scores', '+.2f'), ('measured_share', 'Probability of the emotion', '.2f'),
    ('measured_category', 'Read as', ''), ('measured_valence', 'Valence', '+.2f'),
    ('measured_arousal', 'Arousal', '+.2f'), ('measured_luminance', 'Luminance', '.3f'),
    ('measured_identity_distance', 'Distance from the portrait', '.2f'), ('file', 'File', ''),
)  # fmt: skip
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
    name: str,
) -> str:  # fmt: skip
    """The whole page.

    Args:
        rows: rows of the table of stimuli.
        portraits: name of each person to the portrait.
        left_out: portraits that could not be used, with the reason.
        name: name of the set.
    """
    counts = {'clips': len(rows), 'persons': len(portraits), 'left out': len(left_out)}
    listed = ''.join(f'<div><dt>{escaped(what)}</dt><dd>{count:,}</dd></div>' for what, count in counts.items())
    warned = ''.join(f'<li>{escaped(file)}: {escaped(why)}</li>' for file, why in left_out.items())
    notes = f'<ul class="notes" aria-label="Left out">{warned}</ul>' if warned else ''
    people = ''.join(
        f'<figure><img alt="{escaped(person)}" src="{_thumbnail(image)}"><figcaption>{escaped(person)}</figcaption>'
        '</figure>'
        for person, image in portraits.items()
    )
    how = ''.join(f'<li>{escaped(line)}</li>' for line in READING)
    body = '\n'.join([
        f'<section class="head"><h1>Stimuli: {escaped(name)}</h1><dl class="facts">{listed}</dl>{notes}</section>',
        f'<section class="part"><h2>Portraits, equally bright</h2><div class="figures">{people}</div></section>',
        _section('By emotion and intensity, mean of all persons', _means(rows)),
        _section('All clips', _table(rows)),
        f'<section class="part"><h2>How to read it</h2><ul class="soft">{how}</ul></section>',
    ])  # fmt: skip
    return whole_page(f'Stimuli: {name}', name, body)


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[float, float]]:
    """Emotion to intensity to the mean rise of all persons; nan if nobody was read."""
    kept: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        at = kept.setdefault(str(row['emotion']), {}).setdefault(float(row['intensity']), [])
        if math.isfinite(float(row['measured_rise'])):
            at.append(float(row['measured_rise']))
    return {
        emotion: {each: float(np.mean(rises)) if (rises := by[each]) else math.nan for each in sorted(by)}
        for emotion, by in kept.items()
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of emotions by intensities."""
    by_emotion = means(rows)
    intensities = sorted({each for by in by_emotion.values() for each in by})
    heads = ''.join(f'<th scope="col">{each:.2f}</th>' for each in intensities)
    lines = ''.join(
        f'<tr><th scope="row">{escaped(emotion)}</th>'
        + ''.join(f'<td>{_figure(by.get(each, math.nan), "+.2f")}</td>' for each in intensities)
        + '</tr>'
        for emotion, by in by_emotion.items()
    )
    return f'<table><thead><tr><th scope="col">Rise</th>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ''.join(f'<th scope="col">{escaped(title)}</th>' for _, title, _ in SHOWN)
    lines = ''.join(
        '<tr>' + ''.join(f'<td>{_figure(row[name], form)}</td>' for name, _, form in SHOWN) + '</tr>' for row in rows
    )
    return f'<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def _section(title: str, table: str) -> str:
    return (
        f'<section class="part"><h2>{escaped(title)}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escaped(title)}">{table}</div></section>'
    )


def _figure(value: object, form: str) -> str:
    if isinstance(value, (int, float)) and form:
        return '' if math.isnan(value) else format(value, form)
    return escaped(value)


def _thumbnail(image: npt.NDArray[np.uint8]) -> str:
    picture = PillowImage.fromarray(image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    kept = io.BytesIO()
    picture.save(kept, 'JPEG', quality=80)
    return f'data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}'

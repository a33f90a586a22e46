"""The report: one self-contained HTML file that shows a whole analysis, with the recording embedded if allowed.

It loads nothing from anywhere and runs one script, its own. `payload.py` makes its data, `report.js` shows them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from affekt.analysis import Analysis
from affekt.errors import AffektError, without_error_numbers
from affekt.files import file_atomically
from affekt.pages import asset, embed_file, embed_json, escaped, filled, module_of, self_contained, style_of
from affekt.report.payload import report_payload, summary
from affekt.tables import storable

REPORT_FILE = 'report.html'
"""The page in a folder of results."""
SCRIPTS = (
    'marks.js', 'series.js', 'clock.js', 'paint.js', 'lanes.js', 'stage.js', 'reading.js', 'prose.js', 'sure.js',
    'report.js',
)  # fmt: skip
"""The script files in the order of their imports."""
MAX_MEDIA_BYTES = 64 * 2**20
"""Largest embedded recording or smaller copy, in bytes: with 57 MB a browser takes two to three seconds longer to open
the page, but half an hour of video need not be re-encoded, which takes over a minute."""
COPIES = ((120.0, 480, 30.0), (600.0, 360, 15.0), (2700.0, 240, 10.0))
"""Steps of the copy's size: longest recording in seconds, height in pixels, frames per second."""
WHOLE_HEIGHT = COPIES[0][1]
"""A playable file no higher than this, and within MAX_MEDIA_BYTES, is embedded unchanged, however long: re-encoding
takes a fifth of the time of the analysis."""
IMAGE_SIDE = 1280
"""Longest side of an embedded photograph, in pixels."""

NO_FRAMES = 'Images were not kept. Outlines show where faces were.'
NO_FRAMES_NO_FACE = 'Images were not kept.'
NOT_INSIDE = 'The recording itself is not inside this file.'
AUDIO_ONLY = 'Audio only: there are no faces to read.'


@dataclass(frozen=True)
class Embedded:
    """The embedded part of the recording."""

    kind: str
    """'video', 'audio', 'image', or 'none'."""
    content: Path | None = None
    """Path of the file to embed; None for 'none'."""
    mime: str = ''
    has_sound: bool = False
    note: str = ''
    """A sentence on what is missing, shown in place of the video."""


def render_report(analysis: Analysis, out: Path, media: Path | None = None, why_not: str = '') -> Path:
    """Writes the report atomically; returns its path.

    Args:
        analysis: a whole analysis.
        out: the .html file to write.
        media: the recording, of which a small copy is embedded. Without it, without frames, or if no copy is small
            enough, stills or face outlines are shown instead.
        why_not: a sentence on why there is no recording, shown in its place.
    """
    target = Path(out)
    with tempfile.TemporaryDirectory() as folder:
        embedded = embed(analysis, media, Path(folder), why_not)
        payload = report_payload(
            analysis,
            {'kind': embedded.kind, 'mime': embedded.mime, 'sound': embedded.has_sound, 'note': embedded.note},
        )
        with file_atomically(target) as file:
            file.writelines(report_page(analysis.source.name, summary(analysis), payload, embedded.content))
    return target


def report_page(
    title: str, summary_text: str, payload: Mapping[str, object], media: Path | None = None
) -> Iterator[bytes]:
    """Yields the file in pieces, so that a large recording is never in memory twice.

    Args:
        title: title of the window, plain text.
        summary_text: plain text shown if scripts are disabled.
        payload: data of the script, of plain JSON types without nan.
        media: path of a video, audio or image file to embed; None for none.

    Raises:
        ValueError: the payload has nan, infinity or a type that JSON lacks.
    """
    return self_contained(
        title,
        _body(summary_text, payload, media),
        style=style_of('affekt.report', 'report.css'),
        script=module_of('affekt.report', SCRIPTS),
        sources='img-src data: blob:; media-src blob:',
    )


def _body(summary_text: str, payload: Mapping[str, object], media: Path | None) -> Iterator[str | bytes]:
    parts = {'summary': escaped(' '.join(storable(summary_text).split())), 'data': embed_json(payload)}
    yield filled(asset('affekt.report', 'body.html'), parts)
    if media is not None:
        yield '<script type="text/plain" id="media">'
        yield from embed_file(media)
        yield '</script>'


def embed(analysis: Analysis, media: Path | None, folder: Path, why_not: str = '') -> Embedded:
    """The part of the recording that the report may show, written into the folder; where there is none, the reason.

    Args:
        analysis: a whole analysis.
        media: path of the recording, or None.
        folder: folder for the copy.
        why_not: a sentence on why `media` is None.
    """
    kind = analysis.source.kind
    note = AUDIO_ONLY if kind == 'audio' else NOT_INSIDE
    if not analysis.settings.keep_frames:
        has_faces = kind == 'video' and analysis.tables['faces'].num_rows > 0
        return Embedded('none', note=note if kind == 'audio' else NO_FRAMES if has_faces else NO_FRAMES_NO_FACE)
    if media is None:
        return Embedded('none', note=f'{note} {why_not}'.rstrip())
    if analysis.source.duration_s > COPIES[-1][0]:
        return Embedded('none', note=f'{note} It is longer than {COPIES[-1][0] / 60:.0f} minutes.')
    try:
        embedded = _still(media, folder) if kind == 'image' else _copy(media, folder, kind, analysis.source.duration_s)
    except (AffektError, OSError) as error:
        return Embedded('none', note=f'{note} It could not be copied: {without_error_numbers(str(error))}')
    if embedded.content is not None and embedded.content.stat().st_size > MAX_MEDIA_BYTES:
        return Embedded('none', note=f'{note} Its copy is larger than {MAX_MEDIA_BYTES // 2**20} MB.')
    return embedded


def _copy(media: Path, folder: Path, kind: str, duration_s: float) -> Embedded:
    """A small video or audio file that browsers play."""
    from affekt.media import Recording, web_copy

    recording = Recording.open(media)
    height, rate_hz = next((height, rate_hz) for limit, height, rate_hz in COPIES if duration_s <= limit)
    content = web_copy(
        recording, folder / 'copy.mp4', max_height=height, max_rate_hz=rate_hz,
        whole_height=WHOLE_HEIGHT, whole_bytes=MAX_MEDIA_BYTES,
    )  # fmt: skip
    mime = 'audio/mp4' if kind == 'audio' else 'video/mp4'
    return Embedded(kind, content, mime, bool(recording.audio), AUDIO_ONLY if kind == 'audio' else '')


def _still(media: Path, folder: Path) -> Embedded:
    """A photograph, at most IMAGE_SIDE pixels on its longer side."""
    from affekt.media import Recording, poster

    content = poster(Recording.open(media), folder / 'still.jpg', max_side=IMAGE_SIDE)
    return Embedded('image', content, 'image/jpeg')

"""One HTML file from a template, a style, scripts and data: nothing in it can load or run anything else.

The content security policy names the hashes of the one script and the one style, so markup smuggled in through a file
name, a transcript or a label could not run even if it were parsed, and nothing may be fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

from affekt.tables import storable

SCRIPTS = (
    'report_marks.js', 'report_series.js', 'report_clock.js', 'report_paint.js', 'report_lanes.js', 'report_stage.js',
    'report_reading.js', 'report_prose.js', 'report_sure.js', 'report.js',
)  # fmt: skip
"""The script files in the order of their imports; names at their top level are unique across all of them."""

CHUNK = 3 * 2**18
"""Bytes of media encoded at a time; a multiple of three, so that the pieces join without padding."""

_IMPORT = re.compile(r'^import .*?;\n', re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r'^export ', re.MULTILINE)
_COMMENT = re.compile(r'^\s*//.*\n', re.MULTILINE)
_INDENT = re.compile(r'^[ ]+', re.MULTILINE)


def page(title: str, summary: str, payload: Mapping[str, object], media: bytes | None) -> Iterator[bytes]:
    """The whole file, piece by piece in UTF-8, so that a large recording is never held twice.

    Args:
        title: plain text for the window's title.
        summary: plain text shown where scripts are switched off.
        payload: what the script reads, of plain JSON types without nan.
        media: the bytes of a video, sound or picture to embed, or None.

    Raises:
        ValueError: the payload holds nan, infinity or a type that JSON lacks.
    """
    style, script = _style(), _script()
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; media-src blob:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    parts = {
        'policy': policy,
        'title': html.escape(' '.join(storable(title).split())),
        'summary': html.escape(' '.join(storable(summary).split())),
        'style': style,
        'script': script,
        'data': embed_json(payload),
    }
    before, after = _asset('report.html').split('{{media}}')
    yield _filled(before, parts)
    if media is not None:
        yield b'<script type="text/plain" id="media">'
        for start in range(0, len(media), CHUNK):
            yield base64.b64encode(media[start : start + CHUNK])
        yield b'</script>'
    yield _filled(after, parts)


def _filled(template: str, parts: Mapping[str, str]) -> bytes:
    return re.sub(r'\{\{(\w+)\}\}', lambda match: parts[match[1]], template).encode('utf-8')


def embed_json(payload: Mapping[str, object]) -> str:
    """JSON that is safe between script tags: no `<`, `>` or `&`, no line separator that old parsers end a string at.

    Raises:
        ValueError: the payload holds nan or infinity.
    """
    text = storable(json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(',', ':')))
    for character in '<>&\u2028\u2029':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text


def _asset(name: str) -> str:
    return (files('affekt.report') / name).read_text(encoding='utf-8')


def _script() -> str:
    """The script files as one module: each file's imports name things that stand above it."""
    text = '\n'.join(_asset(name) for name in SCRIPTS)
    for pattern in (_IMPORT, _EXPORT, _COMMENT, _INDENT):
        text = pattern.sub('', text)
    return text


def _style() -> str:
    return re.sub(r'/\*.*?\*/\n?', '', _asset('report.css'), flags=re.DOTALL)


def _digest(text: str) -> str:
    """The hash of an inline element as a content security policy names it."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')

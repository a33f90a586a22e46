"""A self-contained HTML file, from its style, its scripts and its body.

The content security policy lists the hashes of the single script and the single style, so markup injected by a file
name, a transcript or a label could not run even if it were parsed, and nothing may be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from affekt.tables import storable

IMAGES_INSIDE = 'img-src data:'
"""Policy for images on most pages: only those embedded in the file."""
CHUNK = 3 * 2**18
"""Bytes that are encoded at a time; a multiple of three, so that the pieces join without padding."""

_IMPORT = re.compile(r'^import .*?;\n', re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r'^export ', re.MULTILINE)
_COMMENT = re.compile(r'^\s*//.*\n', re.MULTILINE)
_INDENT = re.compile(r'^[ ]+', re.MULTILINE)
_STYLE_COMMENT = re.compile(r'/\*.*?\*/\n?', re.DOTALL)


def self_contained(
    title: str, body: Iterable[str | bytes], *, style: str, script: str, sources: str = IMAGES_INSIDE
) -> Iterator[bytes]:
    """The whole file in UTF-8, piece by piece, so that a large body is never in memory twice.

    Args:
        title: title of the window, plain text.
        body: pieces of markup in which every text from outside is escaped.
        style: CSS.
        script: one JavaScript module.
        sources: directives of the content security policy for images and media.
    """
    policy = (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; {sources}; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    parts = {
        'policy': policy,
        'title': escaped(' '.join(storable(title).split())),
        'style': style,
        'script': script,
    }
    before, after = asset('affekt.pages', 'page.html').split('{{body}}')
    yield filled(before, parts).encode()
    for piece in body:
        yield piece.encode() if isinstance(piece, str) else piece
    yield filled(after, parts).encode()


def whole_page(title: str, file: str, body: str) -> str:
    """A page of tables and plots, whose script sorts tables and switches the theme.

    Args:
        title: title of the window, plain text.
        file: name of the source, plain text.
        body: markup in which every text from outside is escaped.
    """
    opening = (
        '<main>\n<header class="bar"><span class="wordmark">affekt</span>'
        f'<span class="file">{escaped(file)}</span>'
        '<button class="quiet" id="theme" type="button" hidden>Theme</button></header>\n'
    )
    style, script = style_of('affekt.pages', 'page.css'), module_of('affekt.pages', ('page.js',))
    pieces = self_contained(title, (opening, body, '\n</main>'), style=style, script=f'{script}begin(document);\n')
    return b''.join(pieces).decode()


def asset(room: str, name: str) -> str:
    """Text of a file in a package, such as 'affekt.report'."""
    return (files(room) / name).read_text(encoding='utf-8')


def filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with each {{name}} replaced; a part that contains such text itself is inserted unchanged.

    Raises:
        KeyError: a name of the template is not among the parts.
    """
    return re.sub(r'\{\{(\w+)\}\}', lambda match: parts[match[1]], template)


def style_of(room: str, name: str) -> str:
    """Text of a style sheet in a package, without its comments."""
    return _STYLE_COMMENT.sub('', asset(room, name))


def module_of(room: str, names: Iterable[str]) -> str:
    """Script files joined into one module, without comments, imports and exports.

    Args:
        room: package of the files.
        names: names of the files; each imports only from earlier ones, and top-level names are unique across all.
    """
    text = '\n'.join(asset(room, name) for name in names)
    for pattern in (_IMPORT, _EXPORT, _COMMENT, _INDENT):
        text = pattern.sub('', text)
    return text


def escaped(value: object) -> str:
    """Text from outside, escaped for markup."""
    return html.escape(str(value))


def embed_json(payload: Mapping[str, object]) -> str:
    """JSON that is safe between script tags: without `<`, `>`, `&` and the line separators that old parsers reject.

    Raises:
        ValueError: the payload has nan, infinity or a type that JSON lacks.
    """
    text = storable(json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(',', ':')))
    for character in '<>&\u2028\u2029':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text


def embed_file(path: Path) -> Iterator[bytes]:
    """Base64 of a file in pieces of CHUNK bytes, so that a large file is never in memory as a whole."""
    with path.open('rb') as file:
        while piece := file.read(CHUNK):
            yield base64.b64encode(piece)


def _digest(text: str) -> str:
    """Hash of an inline element in the notation of a content security policy."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')

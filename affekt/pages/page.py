"""A page that loads nothing, from its sections: one style, one script, and a policy that allows no other.

The script only sorts tables and switches the theme. The content security policy names the hashes of both, so markup
smuggled in through a name could not run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files


def whole_page(title: str, file: str, body: str) -> str:
    """A page that loads nothing, from its sections.

    Args:
        title: of the window; plain text.
        file: what it was made from; plain text.
        body: markup in which every text from outside is escaped.
    """
    style = re.sub(r'/\*.*?\*/\n?', '', _asset('page.css'), flags=re.DOTALL)
    script = re.sub(r'^export |^\s*//.*\n', '', _asset('page.js'), flags=re.MULTILINE) + 'begin(document);\n'
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{escaped(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
        '<body>\n<main>\n<header class="bar"><span class="wordmark">affekt</span>'
        f'<span class="file">{escaped(file)}</span>'
        '<button class="quiet" id="theme" type="button" hidden>Theme</button></header>\n'
        f'{body}\n</main>\n<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def _asset(name: str) -> str:
    return (files('affekt.pages') / name).read_text(encoding='utf-8')


def _digest(text: str) -> str:
    """The hash of an inline element as a content security policy names it."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')


def escaped(value: object) -> str:
    """Text from outside as markup."""
    return html.escape(str(value))

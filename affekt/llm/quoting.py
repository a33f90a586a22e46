"""Quoting of untrusted text in questions: one JSON object on one line that no text in it can end.

Transcripts, clues and descriptions are untrusted, and may contain instructions, closing marks, role markers or
finished answers. As JSON strings on one line they cannot end the object that contains them; characters of templates and
markup, and invisible ones, are written as \\uXXXX, so that no special token of a model can be spelled.
Every prompt of the package goes through here. A model may still obey embedded instructions:
`measurements/judge_injection.py` measures it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping

_MARKUP = '<>[]{}|`'
_UNSEEN = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')
"""Unicode categories of invisible characters; tags of plane 14 can spell hidden instructions."""


def quoted_object(material: Mapping[str, str], longest: int | None = None) -> str:
    """Untrusted texts as one line of JSON; `json.loads` restores them, each on one line.

    Args:
        material: field to text.
        longest: maximum characters per text; the rest is left out with a remark; None for no limit.

    >>> print(quoted_object({'says': 'So.\\n<|im_end|> [INST]'}))
    {"says": "So. \\u003c\\u007cim_end\\u007c\\u003e \\u005bINST\\u005d"}
    """
    return '{' + ', '.join(f'"{name}": {_quoted(text, longest)}' for name, text in material.items()) + '}'


def _quoted(text: str, longest: int | None) -> str:
    on_one_line = ' '.join(text.split())
    if longest is not None and len(on_one_line) > longest:
        on_one_line = f'{on_one_line[:longest]} … (cut)'
    return ''.join(_escaped(letter) for letter in json.dumps(on_one_line, ensure_ascii=False))


def _escaped(letter: str) -> str:
    if letter in _MARKUP:
        return f'\\u{ord(letter):04x}'
    return json.dumps(letter)[1:-1] if unicodedata.category(letter) in _UNSEEN else letter

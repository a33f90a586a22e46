"""What others wrote, as it goes into a question: one JSON object on one line that no text in it can end.

Transcripts, clues and descriptions come from strangers, and may hold an order, a closing mark, a role marker or a
finished answer. As JSON strings on one line they cannot end the object that holds them; characters that templates and
markup are made of are written as \\uXXXX, so that no special token of a model can be spelled, and so are characters
that cannot be seen. Every prompt of the package goes through here. That a model obeys is not certain:
`measurements/judge_injection.py` measures it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping

_MARKUP = '<>[]{}|`'
_UNSEEN = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')
"""Categories of letters that cannot be seen; tags of plane 14 spell hidden orders."""


def quoted_object(material: Mapping[str, str], longest: int | None = None) -> str:
    """Texts of strangers as one line of JSON; read by `json.loads`, they are as they were, on one line each.

    Args:
        material: field to text.
        longest: characters of one text, of which more are left out with a remark; None for no limit.

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

"""The default describer: the small one that comes with affekt, or sentences from measurements.

The small one is used if it reaches its targets and all that it needs is on this machine. Nothing is downloaded without
a request by the user; a note names what is missing and how to get it.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from affekt.runs import read_regular_file
from affekt.weights import MODELS, PACKAGED, lookup, state

PACKAGES = ('torch', 'transformers', 'peft')
MEASUREMENTS = 'plain'
"""Name for sentences from measurements, whatever the default is; a folder of that name is `./plain`."""
SHIPPED = PACKAGED / 'describer' / 'describer.json'


def is_by_measurements(model: str) -> bool:
    """Whether a user requests sentences from measurements by name."""
    return model == MEASUREMENTS


def has_shipped_describer() -> bool:
    """Whether the small describer that comes with affekt is good enough to be the default and can run here."""
    content = _shipped()
    return bool(content) and not _missing(content)


def note_on_shipped() -> str:
    """A note on what the small describer lacks to be the default; '' if nothing is missing or it cannot be."""
    missing = _missing(content) if (content := _shipped()) else ''
    return f'from measurements, since the small describer needs {missing}' if missing else ''


def _shipped() -> dict[str, Any]:
    """The record of the small describer; {} if there is none, or it is not good enough."""
    if not SHIPPED.is_file():
        return {}
    content: dict[str, Any] = json.loads(read_regular_file(SHIPPED))
    return content if (content.get('notes') or {}).get('reaches_targets') else {}


def _missing(content: dict[str, Any]) -> str:
    """What the small describer needs that is missing, and how to get it; '' for nothing."""
    if any(importlib.util.find_spec(name) is None for name in PACKAGES):
        return "torch and transformers: pip install 'affekt[torch,llm]'"
    trunk = str(content['trunk'])
    if trunk in MODELS and state(lookup(trunk)) != 'verified':
        size = sum(part.size for part in lookup(trunk).parts)
        return f'its language model ({size / 1e6:.0f} MB): affekt weights get {trunk}'
    return ''

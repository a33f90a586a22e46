"""Published face-and-voice encoders that learn without labels (HiCMAE, SVFAP), and the clips that they learn from.

Recordings, official frame folders or a packed cache come in as `Clip`s; pre-trained and fine-tuned models, clip
features and predictions go out. Read `clips.py` first, which says what a clip is. Needs torch where a model or a tensor
is made: names are imported as they are asked for, so that clips can be decoded and packed without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affekt.pretraining.batches import ClipBatch, collate
    from affekt.pretraining.clips import Clip, ClipSettings, decoded
    from affekt.pretraining.forms import FORMS, HicmaeForm, SvfapForm, form_named
    from affekt.pretraining.hicmae import HicmaeClassifier, HicmaePretraining
    from affekt.pretraining.svfap import SvfapClassifier, SvfapPretraining

_LATER = {
    'FORMS': 'forms',
    'HicmaeClassifier': 'hicmae',
    'HicmaeForm': 'forms',
    'HicmaePretraining': 'hicmae',
    'SvfapClassifier': 'svfap',
    'SvfapForm': 'forms',
    'SvfapPretraining': 'svfap',
    'form_named': 'forms',
    'Clip': 'clips',
    'ClipBatch': 'batches',
    'ClipSettings': 'clips',
    'collate': 'batches',
    'decoded': 'clips',
}
"""Public name to the file that has it."""

__all__ = [
    'FORMS',
    'Clip',
    'ClipBatch',
    'ClipSettings',
    'HicmaeClassifier',
    'HicmaeForm',
    'HicmaePretraining',
    'SvfapClassifier',
    'SvfapForm',
    'SvfapPretraining',
    'collate',
    'decoded',
    'form_named',
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f'affekt.pretraining.{_LATER[name]}'), name)
    raise AttributeError(f'module affekt.pretraining has no attribute {name!r}')

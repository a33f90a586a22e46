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
    from affekt.pretraining.cache_size import CacheEstimate
    from affekt.pretraining.clips import Clip, ClipSettings, decoded
    from affekt.pretraining.forms import FORMS, HicmaeForm, SvfapForm, form_named
    from affekt.pretraining.frame_folders import folder_clip
    from affekt.pretraining.hicmae import HicmaeClassifier, HicmaePretraining
    from affekt.pretraining.packed import PackedClips
    from affekt.pretraining.sources import sample_clip
    from affekt.pretraining.split_lists import read_split, split_manifest
    from affekt.pretraining.svfap import SvfapClassifier, SvfapPretraining

_LATER = {
    'FORMS': 'forms',
    'CacheEstimate': 'cache_size',
    'Clip': 'clips',
    'ClipBatch': 'batches',
    'ClipSettings': 'clips',
    'HicmaeClassifier': 'hicmae',
    'HicmaeForm': 'forms',
    'HicmaePretraining': 'hicmae',
    'PackedClips': 'packed',
    'SvfapClassifier': 'svfap',
    'SvfapForm': 'forms',
    'SvfapPretraining': 'svfap',
    'collate': 'batches',
    'decoded': 'clips',
    'folder_clip': 'frame_folders',
    'form_named': 'forms',
    'read_split': 'split_lists',
    'sample_clip': 'sources',
    'split_manifest': 'split_lists',
}
"""Public name to the file that has it."""

__all__ = [
    'FORMS',
    'CacheEstimate',
    'Clip',
    'ClipBatch',
    'ClipSettings',
    'HicmaeClassifier',
    'HicmaeForm',
    'HicmaePretraining',
    'PackedClips',
    'SvfapClassifier',
    'SvfapForm',
    'SvfapPretraining',
    'collate',
    'decoded',
    'folder_clip',
    'form_named',
    'read_split',
    'sample_clip',
    'split_manifest',
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f'affekt.pretraining.{_LATER[name]}'), name)
    raise AttributeError(f'module affekt.pretraining has no attribute {name!r}')

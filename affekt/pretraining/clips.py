"""Clips under the name of this room, which learns from them; they are made in `affekt.clips`."""

from affekt.clips import (
    CROPS,
    MODALITIES,
    SIZE,
    SOUND_RATE_HZ,
    CacheEstimate,
    Clip,
    ClipSettings,
    PackedClips,
    decoded,
    folder_clip,
    read_split,
    sample_clip,
    split_manifest,
)

__all__ = [
    'CROPS',
    'MODALITIES',
    'SIZE',
    'SOUND_RATE_HZ',
    'CacheEstimate',
    'Clip',
    'ClipSettings',
    'PackedClips',
    'decoded',
    'folder_clip',
    'read_split',
    'sample_clip',
    'split_manifest',
]

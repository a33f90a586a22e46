"""Clips: the frames and the audio that a model reads as one sample, made once and stored.

A video, audio, an official folder of frames, or a row of a manifest comes in; a `Clip` comes out, with the face cropped
and aligned, audio at 16 kHz, and the reason for any missing modality. `PackedClips` stores those of a whole corpus in a
few memory-mapped files; `split_manifest` reads the split lists of published code. Read `clip.py` first, then
`packed.py`.
"""

from affekt.clips.cache_size import CacheEstimate
from affekt.clips.clip import CROPS, MODALITIES, SIZE, SOUND_RATE_HZ, Clip, ClipSettings, decoded
from affekt.clips.decoded_clips import DecodedClips
from affekt.clips.frame_folders import folder_clip
from affekt.clips.packed import PackedClips
from affekt.clips.packed_once import is_first_process, named_media, packed_clips, process_count, require_media
from affekt.clips.sources import sample_clip, sources_of
from affekt.clips.split_lists import read_split, split_manifest
from affekt.clips.stored_pictures import stored_pictures
from affekt.clips.vocals import with_vocals

__all__ = [
    'CROPS',
    'MODALITIES',
    'SIZE',
    'SOUND_RATE_HZ',
    'CacheEstimate',
    'Clip',
    'ClipSettings',
    'DecodedClips',
    'PackedClips',
    'decoded',
    'folder_clip',
    'is_first_process',
    'named_media',
    'packed_clips',
    'process_count',
    'read_split',
    'require_media',
    'sample_clip',
    'sources_of',
    'split_manifest',
    'stored_pictures',
    'with_vocals',
]

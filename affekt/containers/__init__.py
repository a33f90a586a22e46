"""The bytes of a media file, read before decoding: which container it is, and whether it is complete.

A file or bytes come in (`source.py`, regular files within `limits.py` only); the structure of the streams, and a
sentence on every missing, truncated or contradictory part that the file itself reveals, come out. Read `structure.py`
first, which calls the reader of each format (`boxes.py` for mp4, `ebml.py` for Matroska, `riff.py` for WAV,
`ogg_pages.py` …), then `losses.py`. `endings.py` lists the file extensions for which a folder is searched.
"""

from affekt.containers.endings import AUDIO, MEDIA, PICTURES, VIDEO, is_media_name
from affekt.containers.limits import Limits
from affekt.containers.losses import ContainerReport, DecodeReport, StreamReport
from affekt.containers.source import Source, Stalled, WatchedFile
from affekt.containers.structure import DEMUXERS, declared_sizes, extension_remark, missing_bytes, still_format
from affekt.containers.window import Window

__all__ = [
    'AUDIO',
    'DEMUXERS',
    'MEDIA',
    'PICTURES',
    'VIDEO',
    'ContainerReport',
    'DecodeReport',
    'Limits',
    'Source',
    'Stalled',
    'StreamReport',
    'WatchedFile',
    'Window',
    'declared_sizes',
    'extension_remark',
    'is_media_name',
    'missing_bytes',
    'still_format',
]

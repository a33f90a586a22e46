"""The bytes of a media file, read before anything decodes them: which container it is, and whether it is whole.

A file or bytes come in (`source.py`, regular files within `limits.py` only); the streams' structure, and a sentence for
whatever the file itself shows to be missing, cut or contradictory, goes out. Read `structure.py` first, which asks the
one reader of each format (`boxes.py` for mp4, `ebml.py` for Matroska, `riff.py` for WAV, `ogg_pages.py` …), then
`losses.py`. `endings.py` is the one list of the endings that a folder is searched for.
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

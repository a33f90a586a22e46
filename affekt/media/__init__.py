"""Media files to frames and audio on one clock.

`Recording.open` takes a file (or bytes), checks its headers against `Limits`, and yields `Frame`s by timestamp and
`Block`s of mono audio in constant memory; `Recording.decoded` reports what was lost. Start with `recording.py`;
`frames.py` and `samples.py` have the two clocks, `affekt.containers` finds truncated files.
"""

from affekt.containers import AUDIO, MEDIA, PICTURES, VIDEO, DecodeReport, Limits, StreamReport, is_media_name
from affekt.media.frames import Frame
from affekt.media.joining import mux, poster, web_copy, with_sound
from affekt.media.probe import AudioStream, VideoStream
from affekt.media.recording import AUDIBLE_RMS, Recording
from affekt.media.samples import Block
from affekt.media.subtitles import Subtitle
from affekt.media.writing import MediaWriter, PictureStyle, even_sided, write_audio, write_image, write_video

__all__ = [
    'AUDIBLE_RMS',
    'AUDIO',
    'MEDIA',
    'PICTURES',
    'VIDEO',
    'AudioStream',
    'Block',
    'DecodeReport',
    'Frame',
    'Limits',
    'MediaWriter',
    'PictureStyle',
    'Recording',
    'StreamReport',
    'Subtitle',
    'VideoStream',
    'even_sided',
    'is_media_name',
    'mux',
    'poster',
    'web_copy',
    'with_sound',
    'write_audio',
    'write_image',
    'write_video',
]

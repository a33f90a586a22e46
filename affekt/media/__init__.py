"""Media files in, pictures and sound on one clock out.

`Recording.open` takes a file (or bytes), holds its headers against `Limits`, and yields `Frame`s by timestamp and
`Block`s of mono sound in constant memory; `Recording.decoded` says what was lost. Start with `recording.py`;
`frames.py` and `samples.py` hold the two clocks, `affekt.containers` finds files that were cut short.
"""

from affekt.containers.endings import AUDIO, MEDIA, PICTURES, VIDEO, is_media_name
from affekt.containers.limits import Limits
from affekt.containers.losses import DecodeReport, StreamReport
from affekt.media.frames import Frame
from affekt.media.probe import AudioStream, VideoStream
from affekt.media.recording import Recording
from affekt.media.samples import Block
from affekt.media.subtitles import Subtitle

__all__ = [
    'AUDIO',
    'MEDIA',
    'PICTURES',
    'VIDEO',
    'AudioStream',
    'Block',
    'DecodeReport',
    'Frame',
    'Limits',
    'Recording',
    'StreamReport',
    'Subtitle',
    'VideoStream',
    'is_media_name',
]

"""Media files in, pictures and sound on one clock out.

`Recording.open` takes a file (or bytes), holds its headers against `Limits`, and yields `Frame`s by timestamp and
`Block`s of mono sound in constant memory; `Recording.decoded` says what was lost. Start with `recording.py`;
`frames.py` and `samples.py` hold the two clocks, `containers.py` finds files that were cut short, `endings.py` lists
the endings that a folder is searched for.
"""

from affekt.media.endings import AUDIO, MEDIA, PICTURES, VIDEO, is_media_name
from affekt.media.frames import Frame
from affekt.media.limits import Limits
from affekt.media.probe import AudioStream, VideoStream
from affekt.media.recording import Recording
from affekt.media.report import DecodeReport, StreamReport
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

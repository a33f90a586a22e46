"""The readings of `affekt.analyze`, live: from a camera, a network stream, or a file played in real time.

A source is read in a separate thread, and only its newest frame is processed: frames that cannot be read in time are
dropped and counted, so that the delay stays small. The readings make the same run folder as an analysis. Read
`session.py` first, then `sources.py` (the reader), `feeds.py` and `connections.py` (what it reads).
"""

from affekt.live.cameras import Camera, cameras
from affekt.live.readings import LatencyReport, LiveFace, LiveReading, LiveVoice
from affekt.live.session import LiveSession, stream
from affekt.live.settings import PACES, SMOOTHINGS, StreamSettings
from affekt.live.sources import LiveSource, name_of, require_source

__all__ = [
    'PACES',
    'SMOOTHINGS',
    'Camera',
    'LatencyReport',
    'LiveFace',
    'LiveReading',
    'LiveSession',
    'LiveSource',
    'LiveVoice',
    'StreamSettings',
    'cameras',
    'name_of',
    'require_source',
    'stream',
]

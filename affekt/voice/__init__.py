"""Speech in a recording: when people speak, how the voice sounds, and which emotion it carries.

The input is blocks of 16 kHz samples (`Recording.samples`). `observe_voice` processes them once and returns a table of
turns and one of acoustic frames; `VoiceStream` processes live blocks. Read `observe.py` first, then `speech.py` (turns;
`loud_voice.py` adds shouts), `acoustics.py` (measures without a model), `encoder.py` (Whisper's layers, shared with
`affekt.text.recognition`) and `emotion.py` (the head trained here). `borrowed.py` gives recorded speech commanded pitch
and level.
"""

from affekt.voice.acoustics import (
    COLUMNS,
    READINGS,
    AcousticFrames,
    Reading,
    acoustic_frames,
    acoustic_summary,
    integrated_loudness,
)
from affekt.voice.arousal import acoustic_arousal, arousal_sd, liveliness
from affekt.voice.borrowed import BorrowedSpeech
from affekt.voice.emotion import HEADS, EmotionReading, VocalEmotion
from affekt.voice.encoder import Encoded, WhisperEncoder, whisper_directory
from affekt.voice.loud_voice import LoudVoice, LoudVoiceRules
from affekt.voice.mel import log_mel
from affekt.voice.observe import FRAMES, TURNS, VoiceObservations, VoiceRecord, observe_voice
from affekt.voice.pitch import Pitch, find_pitch
from affekt.voice.speaker_identity import SpeakerIdentity, speaker_vectors
from affekt.voice.speech import SpeechDetector, Turn, TurnFinder, TurnRules, speech_turns
from affekt.voice.stream import HeardNow, VoiceStream

__all__ = [
    'COLUMNS',
    'FRAMES',
    'HEADS',
    'READINGS',
    'TURNS',
    'AcousticFrames',
    'BorrowedSpeech',
    'EmotionReading',
    'Encoded',
    'HeardNow',
    'LoudVoice',
    'LoudVoiceRules',
    'Pitch',
    'Reading',
    'SpeakerIdentity',
    'SpeechDetector',
    'Turn',
    'TurnFinder',
    'TurnRules',
    'VocalEmotion',
    'VoiceObservations',
    'VoiceRecord',
    'VoiceStream',
    'WhisperEncoder',
    'acoustic_arousal',
    'acoustic_frames',
    'acoustic_summary',
    'arousal_sd',
    'find_pitch',
    'integrated_loudness',
    'liveliness',
    'log_mel',
    'observe_voice',
    'speaker_vectors',
    'speech_turns',
    'whisper_directory',
]

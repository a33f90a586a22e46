"""Spoken words: transcripts with times, sentence embeddings, and the emotion that words express.

A transcript file (or the recognizer, from speech) gives `Utterance`s; `SentenceEncoder` embeds sentences; `TextEmotion`
estimates probabilities of GoEmotions' 28 labels, the seven shared categories, and valence, arousal and dominance;
`observe_text` puts all of it into one table. `understanding.py` detects speech that a recognizer did not understand,
and hallucinated words. Read `utterances.py` first, then `transcripts.py`, then `emotion.py`.
"""

from affekt.text.emotion import TextEmotion, TextReading
from affekt.text.english import language_of_letters
from affekt.text.foreign import LANGUAGES_READ, ForeignEmotion
from affekt.text.languages import LANGUAGES, language_name
from affekt.text.multilingual import MultilingualEncoder
from affekt.text.observe import observe_text
from affekt.text.recognition import Recognizer, is_kept_silence
from affekt.text.sentences import SentenceEncoder, characters_read
from affekt.text.transcripts import Transcript, open_transcript, read_transcript
from affekt.text.understanding import NOT_READ, Trust, judged, judged_together
from affekt.text.utterances import Recognition, Utterance, Word

__all__ = [
    'LANGUAGES',
    'LANGUAGES_READ',
    'NOT_READ',
    'ForeignEmotion',
    'MultilingualEncoder',
    'Recognition',
    'Recognizer',
    'SentenceEncoder',
    'TextEmotion',
    'TextReading',
    'Transcript',
    'Trust',
    'Utterance',
    'Word',
    'characters_read',
    'is_kept_silence',
    'judged',
    'judged_together',
    'language_name',
    'language_of_letters',
    'observe_text',
    'open_transcript',
    'read_transcript',
]

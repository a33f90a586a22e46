"""What is said: transcripts with times, sentence embeddings, and the emotion of words.

A transcript file (or the recognizer, from speech) gives `Utterance`s; `SentenceEncoder` turns sentences into vectors;
`TextEmotion` reads probabilities of GoEmotions' 28 labels, the seven shared categories, and valence, arousal and
dominance; `observe_text` puts all of it into one table. Read `utterances.py` first, then `transcripts.py`, then
`emotion.py`.
"""

from affekt.text.emotion import TextEmotion, TextReading
from affekt.text.observe import observe_text
from affekt.text.recognition import Recognizer
from affekt.text.sentences import SentenceEncoder
from affekt.text.transcripts import Transcript, open_transcript, read_transcript
from affekt.text.utterances import Utterance, Word

__all__ = [
    'Recognizer',
    'SentenceEncoder',
    'TextEmotion',
    'TextReading',
    'Transcript',
    'Utterance',
    'Word',
    'observe_text',
    'open_transcript',
    'read_transcript',
]

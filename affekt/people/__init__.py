"""Who is who in one recording: which face speaks, and who left the picture and came back.

Turns of speech, mouths and spans come in as plain numbers; the person of each comes out, or nobody's name where it is
not sure. Nobody is compared with anyone outside the recording. Read `active_speaker.py` first.
"""

from affekt.people.active_speaker import Mouth, Speaker, attribute_turns, match_speakers, score_turn
from affekt.people.returns import Returned, return_sentences

__all__ = ['Mouth', 'Returned', 'Speaker', 'attribute_turns', 'match_speakers', 'return_sentences', 'score_turn']

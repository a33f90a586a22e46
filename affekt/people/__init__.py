"""Who is who in one recording: which face speaks, who left the frame and came back, which turns share a
voice, and whom a user merged or named.

Turns of speech, mouths and spans come in as plain numbers; the person of each comes out, or '' where it is
uncertain. Nobody is compared with anyone outside the recording. Read `active_speaker.py` first.
"""

from affekt.people.active_speaker import Mouth, Speaker, attribute_turns, match_speakers, score_turn
from affekt.people.changes import (
    CHANGES_FILE,
    Change,
    Merge,
    Rename,
    exact,
    exact_changes,
    fitting,
    names_after,
    read_changes,
    told_changes,
    write_changes,
)
from affekt.people.returns import Returned, return_sentences
from affekt.people.speakers import LEAST_TOLD_APART, speakers_by_voice, speakers_heard, speakers_sentence

__all__ = [
    'CHANGES_FILE',
    'LEAST_TOLD_APART',
    'Change',
    'Merge',
    'Mouth',
    'Rename',
    'Returned',
    'Speaker',
    'attribute_turns',
    'exact',
    'exact_changes',
    'fitting',
    'match_speakers',
    'names_after',
    'read_changes',
    'return_sentences',
    'score_turn',
    'speakers_by_voice',
    'speakers_heard',
    'speakers_sentence',
    'told_changes',
    'write_changes',
]

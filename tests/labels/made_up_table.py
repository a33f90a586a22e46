"""A word table small enough to fold by hand."""

from __future__ import annotations

from affekt.labels import Sense, Wheel, Word, WordTable


def _made_up_table() -> WordTable:
    """Two wheels, five bases: enough for every rule."""
    own = Wheel(
        'own',
        {'rage': 'anger', 'annoyance': 'anger', 'gladness': 'joy', 'dread': 'fear'},
        {'rage': 'rage', 'annoyance': 'annoyance', 'gladness': 'gladness', 'dread': 'dread'},
        (('anger', 'fear'),),
    )
    wheel1 = Wheel(
        'wheel1',
        {'mad': 'mad', 'furious': 'mad', 'happy': 'happy', 'brave': 'happy', 'scared': 'scared'},
        {'mad': 'furious', 'furious': 'furious', 'happy': 'brave', 'brave': 'brave', 'scared': 'scared'},
    )
    words = {
        'furious': Word(('furious', 'fury'), (('rage',), ('furious',)), Sense(-0.6, 0.8, 0.9, 'group')),
        'annoyed': Word(('annoyed', 'annoying'), (('annoyance',), ('mad',)), Sense(-0.4, 0.3, 0.4, 'group')),
        'glad': Word(('glad', 'gladly'), (('gladness',), ('happy',)), Sense(0.7, 0.3, 0.5, 'group')),
        'fearless': Word(('fear', 'fearless'), (('gladness',), ('brave',)), Sense(0.4, 0.3, 0.5, 'group')),
        'scared': Word(('fear', 'scared'), (('dread',), ('scared',)), Sense(-0.6, 0.6, 0.6, 'group')),
    }
    return WordTable('made up', '1', (own, wheel1), words, ('by hand',))


SMALL = _made_up_table()

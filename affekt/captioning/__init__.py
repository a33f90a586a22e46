"""Describing many clips with models that others serve, and choosing which descriptions to keep (MER-Caption).

A manifest comes in; for each clip one model says what it hears, one what it sees, one merges both with the words, and
labels are read out of that: `caption` writes a folder of captions, with an estimate of cost and time from the first
clips, and goes on after any kill. Read `captioner.py` first (one clip), then `running.py` (all of them).
"""

from affekt.captioning.captioner import SUBTITLES, Captioner, CaptionSettings, Models
from affekt.captioning.captions import (
    ABSENT,
    DESCRIBED,
    STATUSES,
    UNUSABLE,
    Caption,
    CaptionTable,
    SecondLanguage,
    Use,
    read_captions,
)
from affekt.captioning.estimate import FIRST, PRICED, Estimate, estimated, sum_to_come
from affekt.captioning.places import Place, place_of
from affekt.captioning.prompts import CANNOT_BE_JUDGED
from affekt.captioning.running import ENGINES, Captioned, caption, price_of, spread_first

__all__ = [
    'ABSENT',
    'CANNOT_BE_JUDGED',
    'DESCRIBED',
    'ENGINES',
    'FIRST',
    'PRICED',
    'STATUSES',
    'SUBTITLES',
    'UNUSABLE',
    'Caption',
    'CaptionSettings',
    'CaptionTable',
    'Captioned',
    'Captioner',
    'Estimate',
    'Models',
    'Place',
    'SecondLanguage',
    'Use',
    'caption',
    'estimated',
    'place_of',
    'price_of',
    'read_captions',
    'spread_first',
    'sum_to_come',
]

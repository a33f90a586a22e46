"""Describing many clips with models on servers, and choosing which descriptions to keep (MER-Caption).

The input is a manifest. For each clip one model describes the audio, one the video, one merges both with the words, and
labels are extracted from the result: `caption` writes a folder of captions, estimates cost and time from the first
clips, and resumes after any kill. `filter_captions` chooses what to keep, by who speaks, by length and by the votes of
classifiers, and gives the reason for each clip left out; `statistics_of` summarises captions before and after. Read
`captioner.py` first (one clip), then `running.py` (all of them) and `filters.py`.
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
    caption_file,
    read_captions,
)
from affekt.captioning.estimate import FIRST, PRICED, Estimate, estimated, sum_to_come
from affekt.captioning.filters import (
    LEFT_OUT,
    REASONS,
    Filtered,
    FilterSettings,
    filter_captions,
    read_left_out,
    read_struck,
    with_checks,
    write_filtered,
)
from affekt.captioning.places import Place, is_address, place_of
from affekt.captioning.prompts import CANNOT_BE_JUDGED
from affekt.captioning.running import ENGINES, Captioned, caption, price_of, spread_first
from affekt.captioning.speaking import THRESHOLD, SpeakingScore, speaking_score
from affekt.captioning.speaking_scores import clip_places, read_speaking, score_speaking
from affekt.captioning.statistics import CaptionStatistics, second_table, statistics_of
from affekt.captioning.statistics_page import statistics_page, statistics_sheet
from affekt.captioning.votes import Votes, read_votes, sentiment_of

__all__ = [
    'ABSENT',
    'CANNOT_BE_JUDGED',
    'DESCRIBED',
    'ENGINES',
    'FIRST',
    'LEFT_OUT',
    'PRICED',
    'REASONS',
    'STATUSES',
    'SUBTITLES',
    'THRESHOLD',
    'UNUSABLE',
    'Caption',
    'CaptionSettings',
    'CaptionStatistics',
    'CaptionTable',
    'Captioned',
    'Captioner',
    'Estimate',
    'FilterSettings',
    'Filtered',
    'Models',
    'Place',
    'SecondLanguage',
    'SpeakingScore',
    'Use',
    'Votes',
    'caption',
    'caption_file',
    'clip_places',
    'estimated',
    'filter_captions',
    'is_address',
    'place_of',
    'price_of',
    'read_captions',
    'read_left_out',
    'read_speaking',
    'read_struck',
    'read_votes',
    'score_speaking',
    'second_table',
    'sentiment_of',
    'speaking_score',
    'spread_first',
    'statistics_of',
    'statistics_page',
    'statistics_sheet',
    'sum_to_come',
    'with_checks',
    'write_filtered',
]

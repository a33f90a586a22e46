"""Describing in words how a person comes across: a language model that perceives clips through soft tokens.

In come features of a clip (voice, face, frames) and what was spoken; out goes an answer in free language. Read
`sources.py` first (what is perceived), then `questions.py` (how it is asked), `model.py` (the describer) and
`published.py` (AffectGPT's settings and checkpoints); `trunk.py` opens the language model. Needs torch.
"""

from affekt.description.answering import Generated, Limits
from affekt.description.inputs import ReadClips, normalised_sound, read_clips, spread, stretches
from affekt.description.model import Answered, Asked, Describer, DescriberSettings, Embedded, answer_loss
from affekt.description.published import (
    AS_PUBLISHED,
    CORRECTED,
    PUBLISHED,
    Official,
    Published,
    Stage,
    affectgpt_2023,
    affectgpt_2025,
    affectgpt_two_stage,
    inspect_official,
    load_official,
    name_map,
    published_sources,
)
from affekt.description.questions import (
    FAMILIES,
    KINDS,
    QUESTIONS,
    Block,
    Family,
    Kind,
    Pieces,
    Vocabulary,
    answer_of,
    family_named,
    kind_of,
    question_of,
    tokenized,
    written,
)
from affekt.description.saved import open_describer, save_describer, saved_notes
from affekt.description.sources import FUSIONS, Queries, Source, SourceReader, present, source_table
from affekt.description.trunk import Adapters, Trunk, letters, merged, open_trunk, tiny_trunk, with_adapters

__all__ = [
    'AS_PUBLISHED',
    'CORRECTED',
    'FAMILIES',
    'FUSIONS',
    'KINDS',
    'PUBLISHED',
    'QUESTIONS',
    'Adapters',
    'Answered',
    'Asked',
    'Block',
    'Describer',
    'DescriberSettings',
    'Embedded',
    'Family',
    'Generated',
    'Kind',
    'Limits',
    'Official',
    'Pieces',
    'Published',
    'Queries',
    'ReadClips',
    'Source',
    'SourceReader',
    'Stage',
    'Trunk',
    'Vocabulary',
    'affectgpt_2023',
    'affectgpt_2025',
    'affectgpt_two_stage',
    'answer_loss',
    'answer_of',
    'family_named',
    'inspect_official',
    'kind_of',
    'letters',
    'load_official',
    'merged',
    'name_map',
    'normalised_sound',
    'open_describer',
    'open_trunk',
    'present',
    'published_sources',
    'question_of',
    'read_clips',
    'save_describer',
    'saved_notes',
    'source_table',
    'spread',
    'stretches',
    'tiny_trunk',
    'tokenized',
    'with_adapters',
    'written',
]

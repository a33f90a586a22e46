"""Describing in words how a person comes across: a language model that perceives clips through soft tokens.

In come features of a clip (voice, face, frames) and what was spoken; out goes an answer in free language. Read
`sources.py` first (what is perceived), then `questions.py` (how it is asked), `model.py` (the describer) and
`published.py` (AffectGPT's settings and checkpoints); `trunk.py` opens the language model, `answers.py` reads what was
answered, and `describing.py` goes over many clips; `clips.py` makes prompts of media files, and `opening.py` opens any
describer that a user names. It learns by `training.py` from `examples.py`; `wordings.py` writes coarse descriptions by
template. Needs torch.
"""

from affekt.description.answering import Generated, Limits
from affekt.description.answers import Answer, Form, read_answer
from affekt.description.batches import ExampleBatches, LengthBatches, with_label_weights
from affekt.description.clips import (
    ClipForm,
    ClipReader,
    PerceivedClip,
    Recognition,
    clip_form,
    clips_manifest,
)
from affekt.description.clues import GIVEN_BY, SPEAKS_OF, Clue, clues_in, perceived_through, without_invented
from affekt.description.describing import Description, describe, fingerprint, reproduction_record, weights_sha256
from affekt.description.examples import Example, Examples, QuestionAnswer, annotated, examples_from, named_label
from affekt.description.grounded import Grounded, grounded, measured, noted_terciles
from affekt.description.groups import (
    GroupSettings,
    GroupStep,
    group_advantages,
    group_loss,
    group_step,
    kl_of,
)
from affekt.description.inputs import ReadClips, normalised_sound, read_clips, spread, stretches
from affekt.description.inspecting import InspectedDescriber, inspected_describer
from affekt.description.model import Answered, Asked, Describer, DescriberSettings, Embedded, answer_loss
from affekt.description.opening import ClipDescriber, open_clip_describer, shipped_describer
from affekt.description.preference import (
    AnswerLogs,
    PreferenceStep,
    adapters_off,
    answer_logs,
    modality_gain,
    preference_loss,
    preference_step,
    reference_logs,
    token_logs,
)
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
from affekt.description.scoring import generated_answers, label_scores
from affekt.description.settings import DescribeSettings
from affekt.description.sources import FUSIONS, Queries, Source, SourceReader, present, source_table
from affekt.description.training import TrainedDescriber, standardise, train_describer
from affekt.description.trunk import Adapters, Trunk, letters, merged, open_trunk, tiny_trunk, with_adapters
from affekt.description.wordings import (
    TemplateAnswers,
    Terciles,
    Wordings,
    packaged_wordings,
    read_wordings,
    readings_from,
)
from affekt.labels import is_nonsense

__all__ = [
    'AS_PUBLISHED',
    'CORRECTED',
    'FAMILIES',
    'FUSIONS',
    'GIVEN_BY',
    'KINDS',
    'PUBLISHED',
    'QUESTIONS',
    'SPEAKS_OF',
    'Adapters',
    'Answer',
    'AnswerLogs',
    'Answered',
    'Asked',
    'Block',
    'ClipDescriber',
    'ClipForm',
    'ClipReader',
    'Clue',
    'DescribeSettings',
    'Describer',
    'DescriberSettings',
    'Description',
    'Embedded',
    'Example',
    'ExampleBatches',
    'Examples',
    'Family',
    'Form',
    'Generated',
    'Grounded',
    'GroupSettings',
    'GroupStep',
    'InspectedDescriber',
    'Kind',
    'LengthBatches',
    'Limits',
    'Official',
    'PerceivedClip',
    'Pieces',
    'PreferenceStep',
    'Published',
    'Queries',
    'QuestionAnswer',
    'ReadClips',
    'Recognition',
    'Source',
    'SourceReader',
    'Stage',
    'TemplateAnswers',
    'Terciles',
    'TrainedDescriber',
    'Trunk',
    'Vocabulary',
    'Wordings',
    'adapters_off',
    'affectgpt_2023',
    'affectgpt_2025',
    'affectgpt_two_stage',
    'annotated',
    'answer_logs',
    'answer_loss',
    'answer_of',
    'clip_form',
    'clips_manifest',
    'clues_in',
    'describe',
    'examples_from',
    'family_named',
    'fingerprint',
    'generated_answers',
    'grounded',
    'group_advantages',
    'group_loss',
    'group_step',
    'inspect_official',
    'inspected_describer',
    'is_nonsense',
    'kind_of',
    'kl_of',
    'label_scores',
    'letters',
    'load_official',
    'measured',
    'merged',
    'modality_gain',
    'name_map',
    'named_label',
    'normalised_sound',
    'noted_terciles',
    'open_clip_describer',
    'open_describer',
    'open_trunk',
    'packaged_wordings',
    'perceived_through',
    'preference_loss',
    'preference_step',
    'present',
    'published_sources',
    'question_of',
    'read_answer',
    'read_clips',
    'read_wordings',
    'readings_from',
    'reference_logs',
    'reproduction_record',
    'save_describer',
    'saved_notes',
    'shipped_describer',
    'source_table',
    'spread',
    'standardise',
    'stretches',
    'tiny_trunk',
    'token_logs',
    'tokenized',
    'train_describer',
    'weights_sha256',
    'with_adapters',
    'with_label_weights',
    'without_invented',
    'written',
]

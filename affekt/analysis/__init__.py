"""The main job: a recording in, an emotion timeline with evidence out.

`analyze(path)` reads faces, voice and words of a recording, puts the readings on one clock, fuses
them per person and second, and returns an `Analysis`: timeline, people, labels, moments and a description whose
sentences each name their evidence. Read `timeline.py` first, then `fuse.py`, `steps.py` and `assemble.py`, then
`analyzer.py`.
"""

from affekt.analysis.analysis import Analysis
from affekt.analysis.analyzer import Analyzer, analyze
from affekt.analysis.description import (
    Describer,
    Findings,
    PlainDescriber,
    described_by,
    description_room,
    open_model_words,
)
from affekt.analysis.export import EXPORTS, SUFFIXES, export
from affekt.analysis.model_choice import models_needed, models_wanted
from affekt.analysis.moments import MOMENT_KINDS
from affekt.analysis.observations import seconds_of_faces
from affekt.analysis.person_series import WEIGHTED, PersonSeries, column, rows_of, time_mean
from affekt.analysis.phrases import (
    LEAST_TOLD,
    UNSEEN,
    ToldStretch,
    called,
    headline,
    named,
    told_course,
    told_people,
    told_words,
    when,
)
from affekt.analysis.records import (
    Described,
    DescribedClue,
    Evidence,
    Lost,
    ModelUse,
    Moment,
    OpenLabel,
    Person,
    Sentence,
    Source,
    Spoken,
    SpokenWord,
    Stretch,
    parts_of,
)
from affekt.analysis.rows import SOURCES
from affekt.analysis.settings import ASR_NAMES, LICENSES, AnalysisSettings
from affekt.analysis.timeline import Timeline, concat
from affekt.purpose import NOTICE, PROHIBITED_PURPOSES, check_purpose

__all__ = [
    'ASR_NAMES',
    'EXPORTS',
    'LEAST_TOLD',
    'LICENSES',
    'MOMENT_KINDS',
    'NOTICE',
    'PROHIBITED_PURPOSES',
    'SOURCES',
    'SUFFIXES',
    'UNSEEN',
    'WEIGHTED',
    'Analysis',
    'AnalysisSettings',
    'Analyzer',
    'Described',
    'DescribedClue',
    'Describer',
    'Evidence',
    'Findings',
    'Lost',
    'ModelUse',
    'Moment',
    'OpenLabel',
    'Person',
    'PersonSeries',
    'PlainDescriber',
    'Sentence',
    'Source',
    'Spoken',
    'SpokenWord',
    'Stretch',
    'Timeline',
    'ToldStretch',
    'analyze',
    'called',
    'check_purpose',
    'column',
    'concat',
    'described_by',
    'description_room',
    'export',
    'headline',
    'models_needed',
    'models_wanted',
    'named',
    'open_model_words',
    'parts_of',
    'rows_of',
    'seconds_of_faces',
    'time_mean',
    'told_course',
    'told_people',
    'told_words',
    'when',
]

"""The main job: a recording in, an emotion timeline with evidence out.

`analyze(path)` watches the faces, hears the voice and reads the words of a recording, puts all on one clock, fuses
it per person and second, and returns an `Analysis`: timeline, people, labels, moments and a description whose sentences
each name their evidence. Read `timeline.py` first, then `fuse.py`, then `observe.py`.
"""

from affekt.analysis.purpose import NOTICE, PROHIBITED_PURPOSES, check_purpose
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline, concat

__all__ = ['NOTICE', 'PROHIBITED_PURPOSES', 'AnalysisSettings', 'Timeline', 'check_purpose', 'concat']

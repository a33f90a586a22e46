"""Human annotation: raters watch clips and choose between descriptions; people check captions; a host follows both.

Files of pairs and a folder of clips go in; votes come out, each written to disk before it is acknowledged, as
comparisons that `affekt rank` reads and as Label Studio tasks. Captions go in and come out corrected: with labels
accepted, struck and added (`check_captions.py`, `checking.py`). Read `annotate.py` first, then `study.py`, which stores
the votes, and `app.py`, which serves the pages. Only serving needs FastAPI and uvicorn.
"""

from affekt.annotation.annotate import Prepared, annotate, prepare
from affekt.annotation.check_captions import CheckLinks, PreparedChecks, check_captions, prepare_checks
from affekt.annotation.checking import CheckStudy, CheckTask, export_checks, open_checks
from affekt.annotation.clips import Clip, find_clips
from affekt.annotation.exports import comparisons_csv, export_notes, export_votes, left_out_notes, votes_table
from affekt.annotation.label_studio import label_studio_tasks
from affekt.annotation.label_studio_reading import Imported, read_label_studio
from affekt.annotation.links import Links
from affekt.annotation.pairs import Task, read_gold, read_tasks
from affekt.annotation.raters import RaterFigures, rater_figures
from affekt.annotation.scheduling import StudySettings
from affekt.annotation.state import Vote
from affekt.annotation.study import Screen, Study

__all__ = [
    'CheckLinks',
    'CheckStudy',
    'CheckTask',
    'Clip',
    'Imported',
    'Links',
    'Prepared',
    'PreparedChecks',
    'RaterFigures',
    'Screen',
    'Study',
    'StudySettings',
    'Task',
    'Vote',
    'annotate',
    'check_captions',
    'comparisons_csv',
    'export_checks',
    'export_notes',
    'export_votes',
    'find_clips',
    'label_studio_tasks',
    'left_out_notes',
    'open_checks',
    'prepare',
    'prepare_checks',
    'rater_figures',
    'read_gold',
    'read_label_studio',
    'read_tasks',
    'votes_table',
]

"""What every benchmark that trains shares: a task, its folds, finished runs, scored rows, tables and a page.

A manifest and features come in as a `Task`, divided into `Fold`s; each trained model is one unit of work that is noted
once it is whole; systems with intervals and paired tests go out. Read `task.py` first, then `folds.py`, `fitting.py`
(needs torch) and `scored.py`.
"""

from affekt.experiments.cross_corpus import Part
from affekt.experiments.folds import Turn
from affekt.experiments.scored import Gain, Merbench, Row, System, scored_rows
from affekt.experiments.settings import MerbenchSettings
from affekt.experiments.task import Task, open_task

__all__ = ['Gain', 'Merbench', 'MerbenchSettings', 'Part', 'Row', 'System', 'Task', 'Turn', 'open_task', 'scored_rows']

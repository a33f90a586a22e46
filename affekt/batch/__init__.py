"""Analysis of many recordings into one run folder: each is analyzed once, even if the process is killed in between.

Files and folders go in; one folder of results per recording, a journal, and the list of valid results come out. Read
`folders.py` first (recordings in the given paths), then `running.py` and `exports.py` (the whole run in other formats);
`affekt/analysis/results.py` decides which results count. `describing.py` describes many clips in words instead.
"""

from affekt.batch.changed import seconds_together, with_changes
from affekt.batch.default_describer import has_shipped_describer
from affekt.batch.describing import (
    DescribedClip,
    clips_of,
    describe_many,
    open_describing,
)
from affekt.batch.describing_settings import Describing
from affekt.batch.exports import Written, export_run, report_run
from affekt.batch.folders import Clip, Gathered, gather
from affekt.batch.measured import plainly_described
from affekt.batch.people import ChangedPeople, change_people
from affekt.batch.running import Batch, Outcome, analyze_many

__all__ = [
    'Batch', 'ChangedPeople', 'Clip', 'DescribedClip', 'Describing', 'Gathered', 'Outcome', 'Written', 'analyze_many',
    'change_people', 'clips_of', 'describe_many', 'export_run', 'gather', 'has_shipped_describer', 'open_describing',
    'plainly_described', 'report_run', 'seconds_together', 'with_changes',
]  # fmt: skip

"""An analysis as one HTML page, with the recording inside where it may be; and a set of stimuli as one.

An `Analysis` comes in; one file that loads nothing from anywhere and runs one script, its own, goes out. Read
`report.py` first, then `payload.py` for what goes in and `paint.js` for how it is drawn. `stimulus_page` draws the
table of a set of stimuli.
"""

from affekt.report.report import REPORT_FILE, Embedded, render_report
from affekt.report.stimulus_page import stimulus_page

__all__ = ['REPORT_FILE', 'Embedded', 'render_report', 'stimulus_page']

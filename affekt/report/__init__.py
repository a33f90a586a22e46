"""An analysis, or a set of stimuli, as one HTML page; an analysis with its recording embedded if allowed.

An `Analysis` comes in; a self-contained file with one script of its own comes out. Read `report.py` first, then
`payload.py` for the data of the page and `paint.js` for the drawing. `stimulus_page` shows the table of a set of
stimuli.
"""

from affekt.report.report import REPORT_FILE, Embedded, render_report
from affekt.report.stimulus_page import stimulus_page

__all__ = ['REPORT_FILE', 'Embedded', 'render_report', 'stimulus_page']

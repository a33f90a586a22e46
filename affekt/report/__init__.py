"""An analysis as one HTML page, with the recording inside where it may be.

An `Analysis` comes in; one file that loads nothing from anywhere and runs one script, its own, goes out. Read
`report.py` first, then `payload.py` for what goes in and `paint.js` for how it is drawn.
"""

from affekt.report.report import REPORT_FILE, Embedded, render_report

__all__ = ['REPORT_FILE', 'Embedded', 'render_report']

"""What every HTML page of affekt is made of: the page that loads nothing, its style and script, plots, figures as text.

Titles and markup come in; one self-contained HTML file goes out. Every text from outside is escaped, and the content
security policy names the hashes of the one style and the one script. Read `page.py` first, then `plot.py` and
`figures.py`.
"""

from affekt.pages.page import (
    asset,
    embed_bytes,
    embed_json,
    escaped,
    filled,
    module_of,
    self_contained,
    style_of,
    whole_page,
)
from affekt.pages.plot import Scale, axis_svg, better_svg, interval_svg, scale_of
from affekt.wording import MINUS
from affekt.wording import percent_in_five as percent

__all__ = [
    'MINUS',
    'Scale',
    'asset',
    'axis_svg',
    'better_svg',
    'embed_bytes',
    'embed_json',
    'escaped',
    'filled',
    'interval_svg',
    'module_of',
    'percent',
    'scale_of',
    'self_contained',
    'style_of',
    'whole_page',
]

"""Building blocks of all HTML pages of affekt: self-contained pages, their style and script, plots, numbers as text.

Titles and markup come in; one self-contained HTML file comes out. Every text from outside is escaped, and the content
security policy lists the hashes of the single style and the single script. Read `page.py` first, then `plot.py` and
`figures.py`.
"""

from affekt.pages.page import (
    asset,
    embed_file,
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
    'embed_file',
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

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

__all__ = [
    'asset',
    'embed_bytes',
    'embed_json',
    'escaped',
    'filled',
    'module_of',
    'self_contained',
    'style_of',
    'whole_page',
]

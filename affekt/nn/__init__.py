"""What two or more of the rooms that train share: masks of kept steps, dropout, and model states by name.

Tensors come in, tensors go out; `load_published` fills a model from a file saved by the code that published it and says
where each tensor went. Read `masks.py` first. Needs torch.
"""

from affekt.nn.dropout import Dropout
from affekt.nn.linear import linear
from affekt.nn.masks import kept_first, last_kept, mean_kept
from affekt.nn.states import Coverage, CoverageRow, load_published, read_tensors, renamed, save_tensors

__all__ = [
    'Coverage',
    'CoverageRow',
    'Dropout',
    'kept_first',
    'last_kept',
    'linear',
    'load_published',
    'mean_kept',
    'read_tensors',
    'renamed',
    'save_tensors',
]

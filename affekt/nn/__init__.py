"""Building blocks of networks that at least two rooms train: transformers, masks, dropout, loading of weights by name.

Tensors come in, tensors go out. Read `attention.py` first, then `transformer.py` (blocks), `patches.py` (images,
spectrograms and videos to tokens, and back) and `positions.py`; `masks.py` handles sequences of unequal length;
`pooling.py`, `qformer.py` and `prefusion.py` reduce many vectors to few.
`load_published` fills a model from a file saved by its authors' code and reports where each tensor went.
Needs torch.
"""

from affekt.nn.attention import Attention, CrossAttention, attend, join_heads, split_heads
from affekt.nn.devices import require_device
from affekt.nn.dropout import Dropout
from affekt.nn.linear import Linear, linear, product
from affekt.nn.masks import kept_first, last_kept, mean_kept
from affekt.nn.patches import DEVIATION_FLOOR, PatchEmbedding, from_patches, planes, standardised_patches, to_patches
from affekt.nn.pooling import POOLINGS, Pooling, pooling_of
from affekt.nn.positions import position_table, sinusoids, sinusoids_in_halves, sliced_positions
from affekt.nn.precision import in_single_precision
from affekt.nn.prefusion import Prefusion, QueryPrefusion
from affekt.nn.qformer import QueryFormer, qformer_names
from affekt.nn.seeding import seed_torch, seeded
from affekt.nn.states import Coverage, CoverageRow, NameMap, built, load_published, read_tensors, renamed, save_tensors
from affekt.nn.transformer import Block, BlockForm, CrossSelfBlock, DropPath, rising

__all__ = [
    'DEVIATION_FLOOR',
    'POOLINGS',
    'Attention',
    'Block',
    'BlockForm',
    'Coverage',
    'CoverageRow',
    'CrossAttention',
    'CrossSelfBlock',
    'DropPath',
    'Dropout',
    'Linear',
    'NameMap',
    'PatchEmbedding',
    'Pooling',
    'Prefusion',
    'QueryFormer',
    'QueryPrefusion',
    'attend',
    'built',
    'from_patches',
    'in_single_precision',
    'join_heads',
    'kept_first',
    'last_kept',
    'linear',
    'load_published',
    'mean_kept',
    'planes',
    'pooling_of',
    'position_table',
    'product',
    'qformer_names',
    'read_tensors',
    'renamed',
    'require_device',
    'rising',
    'save_tensors',
    'seed_torch',
    'seeded',
    'sinusoids',
    'sinusoids_in_halves',
    'sliced_positions',
    'split_heads',
    'standardised_patches',
    'to_patches',
]

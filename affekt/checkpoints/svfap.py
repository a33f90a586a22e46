"""States of SVFAP: an encoder of stages, with a decoder (pre-training, under `encoder.`) or a head (fine-tuning)."""

from __future__ import annotations

import re
from math import prod

from affekt.checkpoints.families import Family, Recognised, State, depth, differing_blocks, has_fewer
from affekt.checkpoints.listings import TUBE, Shapes, below, blocks, decoder, linear, norm

SIZES = {
    (384, 8, 6): 'small',
    (512, 12, 9): 'base',
    (768, 12, 9): 'base of width 768',
}
"""Width, plain blocks and cross-self blocks of the published sizes; 768 is registered by the pre-training code."""
HEAD = 64
"""Width of an attention head."""
SUMMARY_WIDTH, SUMMARIES = 128, 8
"""Width of the layers that score tokens, and number of bottleneck tokens per time slice."""
MEANING = {
    'patch_embed.': 'patch embedding',
    'blocks.': 'blocks of all stages',
    'temporal_downsamples.': 'halving of time',
    'spatial_downsamples.': 'scores of bottleneck tokens',
    'norm.': 'norm of the pre-trained encoder',
    'fc_norm.': 'norm before the head',
    'head.': 'head',
    'decoder.': 'decoder',
    'encoder_to_decoder.': 'encoder to decoder',
    'mask_token': 'learned token in place of hidden ones',
}
_PREFIXES = ('encoder.', 'backbone.', '')


def encoder_listing(width: int, plain: int, cross: int, stages: int, scores: tuple[int, int]) -> Shapes:
    """Names and shapes of the encoder without a final norm.

    Args:
        width: C.
        plain: blocks of the first stage.
        cross: cross-self blocks of the later stages.
        stages: number of stages.
        scores: width of the layers that score tokens, and number of bottleneck tokens per time slice.
    """
    shapes: Shapes = {'patch_embed.proj.weight': (width, 3, *TUBE), 'patch_embed.proj.bias': (width,)}
    shapes |= blocks(plain, cross, width)
    for index in range(stages - 1):
        shapes |= {
            f'temporal_downsamples.{index}.weight': (width, width, 2),
            f'temporal_downsamples.{index}.bias': (width,),
        }
        shapes |= below(f'spatial_downsamples.{index}.norm.', norm(width))
        shapes |= below(f'spatial_downsamples.{index}.mlp.fc1.', linear(width, scores[0]))
        shapes |= below(f'spatial_downsamples.{index}.mlp.fc2.', linear(*scores))
    return shapes


def _blocks(state: State, prefix: str) -> tuple[int, int]:
    """Plain blocks, and cross-self blocks, which come after them."""
    pattern = re.compile(re.escape(f'{prefix}blocks') + r'\.(\d{1,4})\.cross_attn\.')
    count = depth(state, f'{prefix}blocks')
    plain = min((int(match[1]) for name in state if (match := pattern.match(name))), default=count)
    return plain, count - plain


def _size(width: int, plain: int, cross: int) -> tuple[str, str, bool]:
    """The published size, or 'custom' with its difference from that of this width, and whether it is only shallower."""
    size, published = next(((name, size[1:]) for size, name in SIZES.items() if size[0] == width), ('custom', (0, 0)))
    if size == 'custom':
        return size, '', False
    counts = {'plain': (plain, published[0]), 'cross-self': (cross, published[1])}
    differs = differing_blocks(size, counts)
    return ('custom' if differs else size), differs, bool(differs) and has_fewer(counts)


def recognise(state: State) -> Recognised | None:
    """The identity of a state of SVFAP, of either form or of its encoder alone, under any of the published prefixes."""
    prefix = next((prefix for prefix in _PREFIXES if f'{prefix}patch_embed.proj.weight' in state), None)
    if prefix is None or not any(name.startswith(f'{prefix}spatial_downsamples.') for name in state):
        return None
    width = state[f'{prefix}patch_embed.proj.weight'][0]
    plain, cross = _blocks(state, prefix)
    stages = 1 + depth(state, f'{prefix}spatial_downsamples')
    scores = state.get(f'{prefix}spatial_downsamples.0.mlp.fc2.weight', (SUMMARIES, SUMMARY_WIDTH))
    encoder = encoder_listing(width, plain, cross, stages, (scores[-1], scores[0]))
    size, differs, is_cut = _size(width, plain, cross)
    sizes = {
        'width': width,
        'heads': max(width // HEAD, 1),
        'stages': stages,
        'plain blocks': plain,
        'cross-self blocks': cross,
        'bottleneck tokens': scores[0],
        'scoring width': scores[-1],
    }
    kept = {f'{prefix}{name}': name for name in encoder}
    new = ('fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias')
    meaning = {
        f'{prefix}{name}' if name not in ('decoder.', 'mask_token', 'encoder_to_decoder.') else name: description
        for name, description in MEANING.items()
    }
    if 'mask_token' in state or any(name.startswith('decoder.') for name in state):
        mask = state.get('mask_token', (width,))[-1]
        decoder_depth = depth(state, 'decoder.blocks')
        sizes |= {'decoder width': mask, 'decoder blocks': decoder_depth}
        expected = {
            'mask_token': (1, 1, mask),
            **below(prefix, encoder),
            **below(f'{prefix}norm.', norm(width)),
            **below('decoder.', decoder(decoder_depth, 0, mask, 3 * prod(TUBE))),
            'encoder_to_decoder.weight': (mask, width),
        }
        renamed = {
            name: 'encoder.' + name.removeprefix(prefix)
            for name in expected
            if prefix == 'backbone.' and name.startswith(prefix)
        }
        return Recognised(
            'svfap', 'SVFAP', 'pretrain', size, expected, sizes, 'SvfapPretraining', renamed, kept, new, meaning,
            differs=differs, is_cut=is_cut,
        )  # fmt: skip
    if f'{prefix}head.weight' not in state and f'{prefix}fc_norm.weight' not in state:
        ends = below(f'{prefix}norm.', norm(width)) if f'{prefix}norm.weight' in state else {}
        return Recognised(
            'svfap', 'SVFAP', 'encoder', size, below(prefix, encoder) | ends, sizes, kept=kept, new=new,
            meaning=meaning, differs=differs, is_cut=is_cut,
        )  # fmt: skip
    head = state.get(f'{prefix}head.weight', ())
    sizes['outputs'] = head[0] if head else state.get(f'{prefix}head.bias', (0,))[0]
    tuned = encoder | below('fc_norm.', norm(width)) | below('head.', linear(width, max(sizes['outputs'], 1)))
    renamed = {f'{prefix}{name}': name for name in tuned} if prefix else {}
    return Recognised(
        'svfap', 'SVFAP', 'finetune', size, below(prefix, tuned), sizes, 'SvfapClassifier', renamed, meaning=meaning,
        differs=differs, is_cut=is_cut,
    )  # fmt: skip


SVFAP = Family('SVFAP', 'github.com/sunlicai/SVFAP', recognise)

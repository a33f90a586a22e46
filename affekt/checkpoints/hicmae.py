"""States of HiCMAE: two encoders and their fusion, with decoders (pre-training) or a head (fine-tuning)."""

from __future__ import annotations

from math import prod

from affekt.checkpoints.families import MOST_BLOCKS, Family, Recognised, State, depth, differing_blocks, has_fewer
from affekt.checkpoints.listings import TILE, TUBE, Shapes, below, blocks, decoder, linear, norm

WIDTHS = {256: 'tiny', 384: 'small', 512: 'base'}
DEPTH, FUSION_DEPTH = 10, 2
"""Blocks of each encoder and of each stream of the fusion, at every published size."""
DECODER_DEPTH = 4
"""Blocks of each decoder, which is half as wide as the encoders, at every published size."""
HEAD = 64
"""Width of an attention head, at every size."""
MEANING = {
    'encoder.': 'video encoder',
    'encoder_audio.': 'audio encoder',
    'encoder_fusion.': 'fusion encoder',
    'encoder_to_decoder.': 'encoder to decoder, video',
    'encoder_to_decoder_audio.': 'encoder to decoder, audio',
    'decoder.': 'video decoder',
    'decoder_audio.': 'audio decoder',
    'mask_token': 'learned token in place of hidden ones',
    'video_layer_weights': 'weights of the video layers',
    'audio_layer_weights': 'weights of the audio layers',
    'fc_norm.': 'norm before the head',
    'head.': 'head',
}
"""Beginning of a name to the meaning of the tensor."""


def listing(
    width: int, depths: tuple[int, int, int], *, classes: int = 0, decoders: tuple[int, int, int] | None = None
) -> Shapes:
    """Names and shapes of a complete state.

    Args:
        width: C.
        depths: blocks of the video encoder, the audio encoder and each stream of the fusion; 0 for none.
        classes: outputs of the head; 0 for no head.
        decoders: blocks of the video decoder, of the audio decoder, and their width; None for no decoders.
    """
    video, audio, fusion = depths
    shapes: Shapes = {}
    for name, count, patch in (('encoder', video, (3, *TUBE)), ('encoder_audio', audio, (1, *TILE))):
        if count:
            branch = {
                'patch_embed.proj.weight': (width, *patch),
                'patch_embed.proj.bias': (width,),
                **blocks(count, 0, width),
                **below('norm.', norm(width)),
            }
            shapes |= below(f'{name}.', branch)
    if fusion:
        streams = blocks(0, fusion, width)
        shapes |= below('encoder_fusion.', streams)
        shapes |= {
            name.replace('.blocks.', '.blocks_audio.'): shape
            for name, shape in below('encoder_fusion.', streams).items()
        }
        shapes |= below('encoder_fusion.norm.', norm(width)) | below('encoder_fusion.norm_audio.', norm(width))
    if classes:
        features = 4 * width if fusion else width
        shapes |= {'video_layer_weights': (video,)} if video else {}
        shapes |= {'audio_layer_weights': (audio,)} if audio else {}
        shapes |= below('fc_norm.', norm(features)) | below('head.', linear(features, classes))
    if decoders:
        ends = (('', decoders[0], 3 * prod(TUBE)), ('_audio', decoders[1], prod(TILE)))
        for ending, count, outputs in ends:
            if count:
                shapes[f'mask_token{ending}'] = (1, 1, decoders[2])
                shapes[f'encoder_to_decoder{ending}.weight'] = (decoders[2], width)
                shapes |= below(f'decoder{ending}.', decoder(count, count - 1, decoders[2], outputs))
    return shapes


def _depths(state: State) -> tuple[int, int, int]:
    """Blocks of the video encoder, the audio encoder and each stream of the fusion in the complete state.

    Encoders are equally deep, as are the streams; layer weights count blocks; two encoders always have a fusion. So the
    other parts distinguish a state that lacks blocks of one part from a shallower network.
    """
    has_encoder = [any(name.startswith(f'{encoder}.') for name in state) for encoder in ('encoder', 'encoder_audio')]
    weights = [state.get(f'{name}_layer_weights', ()) for name in ('video', 'audio')]
    weight_counts = [min(shape[0], MOST_BLOCKS) for shape in weights if shape]
    encoder_depth = max(depth(state, 'encoder.blocks'), depth(state, 'encoder_audio.blocks'), *weight_counts, 0)
    video, audio = (encoder_depth if is_present else 0 for is_present in has_encoder)
    fusion = max(depth(state, 'encoder_fusion.blocks'), depth(state, 'encoder_fusion.blocks_audio'))
    return video, audio, fusion or (FUSION_DEPTH if all(has_encoder) else 0)


def recognise(state: State) -> Recognised | None:
    """The identity of a state of HiCMAE, of either form or of its encoders alone; None for another state."""
    patch = state.get('encoder.patch_embed.proj.weight', ()) or state.get('encoder_audio.patch_embed.proj.weight', ())
    is_hicmae = 'video_layer_weights' in state or any(
        name.startswith(('encoder_audio.', 'encoder_fusion.', 'decoder.blocks.1.cross_attn.')) for name in state
    )
    if not is_hicmae or not patch:
        return None
    width = patch[0]
    depths = _depths(state)
    blocks_of = {name: count for name, count in zip(('video', 'audio', 'fusion'), depths, strict=True) if count}
    sizes = {'width': width, 'heads': max(width // HEAD, 1), **{f'{name} blocks': n for name, n in blocks_of.items()}}
    counts = {name: (n, FUSION_DEPTH if name == 'fusion' else DEPTH) for name, n in blocks_of.items()}
    differs = differing_blocks(WIDTHS[width], counts) if width in WIDTHS else ''
    published = 'custom' if differs else WIDTHS.get(width, 'custom')
    is_cut = bool(differs) and has_fewer(counts)
    decoder_depth = max(depth(state, 'decoder.blocks'), depth(state, 'decoder_audio.blocks'))
    decoders = (decoder_depth if depths[0] else 0, decoder_depth if depths[1] else 0)
    if any(decoders) or 'mask_token' in state or 'mask_token_audio' in state:
        mask = state.get('mask_token', ()) or state.get('mask_token_audio', ()) or (width,)
        sizes |= {'decoder width': mask[-1], 'decoder blocks': max(decoders)}
        expected = listing(width, depths, decoders=(*decoders, mask[-1]))
        encoders = listing(width, depths)
        tuned = listing(width, depths, classes=1)
        return Recognised(
            'hicmae', 'HiCMAE', 'pretrain', published, expected, sizes, 'HicmaePretraining',
            kept={name: name for name in encoders}, new=tuple(name for name in tuned if name not in encoders),
            meaning=MEANING, differs=differs,
            is_cut=is_cut and max(decoders) == DECODER_DEPTH and mask[-1] == width // 2,
        )  # fmt: skip
    head = state.get('head.weight', ())
    classes = head[0] if head else state.get('head.bias', (0,))[0]
    if not classes and 'fc_norm.weight' not in state and 'video_layer_weights' not in state:
        expected, tuned = listing(width, depths), listing(width, depths, classes=1)
        return Recognised(
            'hicmae', 'HiCMAE', 'encoder', published, expected, sizes, kept={name: name for name in expected},
            new=tuple(name for name in tuned if name not in expected), meaning=MEANING, differs=differs, is_cut=is_cut,
        )  # fmt: skip
    sizes['outputs'] = classes
    return Recognised(
        'hicmae', 'HiCMAE', 'finetune', published, listing(width, depths, classes=max(classes, 1)), sizes,
        'HicmaeClassifier', meaning=MEANING, differs=differs,
        is_cut=is_cut and max(depths[:2]) == DEPTH,  # layer weights count the blocks of the encoders
    )  # fmt: skip


HICMAE = Family('HiCMAE', 'github.com/sunlicai/HiCMAE', recognise)

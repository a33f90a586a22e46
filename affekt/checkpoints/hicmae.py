"""States of HiCMAE: two encoders and their fusion, with decoders (pre-training) or a head (fine-tuning)."""

from __future__ import annotations

from math import prod

from affekt.checkpoints.families import Family, Recognised, State, depth
from affekt.checkpoints.listings import TILE, TUBE, Shapes, below, blocks, decoder, linear, norm

WIDTHS = {256: 'tiny', 384: 'small', 512: 'base'}
PUBLISHED_DEPTHS = ((10, 10, 2), (10, 0, 0), (0, 10, 0))
"""Numbers of blocks of video, audio and fusion, with both modalities or only one."""
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
    'mask_token': 'what stands for hidden tokens',
    'video_layer_weights': 'weights of the video layers',
    'audio_layer_weights': 'weights of the audio layers',
    'fc_norm.': 'norm before the head',
    'head.': 'head',
}


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


def recognise(state: State) -> Recognised | None:
    """A state of HiCMAE, of either form or of its encoders alone."""
    patch = state.get('encoder.patch_embed.proj.weight', ()) or state.get('encoder_audio.patch_embed.proj.weight', ())
    is_ours = 'video_layer_weights' in state or any(
        name.startswith(('encoder_audio.', 'encoder_fusion.', 'decoder.blocks.1.cross_attn.')) for name in state
    )
    if not is_ours or not patch:
        return None
    width = patch[0]
    depths = (
        depth(state, 'encoder.blocks'),
        depth(state, 'encoder_audio.blocks'),
        depth(state, 'encoder_fusion.blocks'),
    )
    blocks_of = {name: count for name, count in zip(('video', 'audio', 'fusion'), depths, strict=True) if count}
    sizes = {'width': width, 'heads': max(width // HEAD, 1), **{f'{name} blocks': n for name, n in blocks_of.items()}}
    published = WIDTHS.get(width, 'custom') if depths in PUBLISHED_DEPTHS else 'custom'
    decoders = (depth(state, 'decoder.blocks'), depth(state, 'decoder_audio.blocks'))
    if any(decoders) or 'mask_token' in state or 'mask_token_audio' in state:
        mask = state.get('mask_token', ()) or state.get('mask_token_audio', ()) or (width,)
        sizes |= {'decoder width': mask[-1], 'decoder blocks': max(decoders)}
        expected = listing(width, depths, decoders=(*decoders, mask[-1]))
        encoders = listing(width, depths)
        tuned = listing(width, depths, classes=1)
        return Recognised(
            'hicmae', 'HiCMAE', 'pretrain', published, expected, sizes, 'HicmaePretraining',
            kept={name: name for name in encoders}, new=tuple(name for name in tuned if name not in encoders),
            meaning=MEANING,
        )  # fmt: skip
    head = state.get('head.weight', ())
    classes = head[0] if head else state.get('head.bias', (0,))[0]
    if not classes and 'fc_norm.weight' not in state and 'video_layer_weights' not in state:
        expected, tuned = listing(width, depths), listing(width, depths, classes=1)
        return Recognised(
            'hicmae', 'HiCMAE', 'encoder', published, expected, sizes, kept={name: name for name in expected},
            new=tuple(name for name in tuned if name not in expected), meaning=MEANING,
        )  # fmt: skip
    sizes['outputs'] = classes
    return Recognised(
        'hicmae', 'HiCMAE', 'finetune', published, listing(width, depths, classes=max(classes, 1)), sizes,
        'HicmaeClassifier', meaning=MEANING,
    )  # fmt: skip


HICMAE = Family('HiCMAE', 'github.com/sunlicai/HiCMAE', recognise)

"""Parts of MagicPortrait and its dependencies: two U-Nets, motion modules, guidance encoders, the SMIRK encoder.

Recognises the part, and whether it has as many tensors as the published one; affekt has no model that they fill.
Source: github.com/fudan-generative-vision/champ (MIT), which has the same networks, and SMIRK (MIT).
"""

from __future__ import annotations

from affekt.checkpoints.families import Family, Recognised, State

PARTS = {
    'SMIRK encoder': 762,
    'motion modules': 588,
    'denoising U-Net of frames': 1274,
    'guidance encoder': 149,
    'reference U-Net of images': 682,
}
"""Part to the number of tensors of the published one."""
WITHOUT_ATTENTION = 130
"""Tensors of a guidance encoder as Champ released it: without `guidance_attention`, which nothing reads."""


def part_of(state: State) -> str:
    """Name of the part that a state belongs to; '' for none."""
    prefixes = {name.split('.')[0] for name in state}
    if {'pose_encoder', 'expression_encoder'} <= prefixes:
        return 'SMIRK encoder'
    has_motion = any('.motion_modules.' in name for name in state)
    if {'down_blocks', 'up_blocks'} <= prefixes:
        if has_motion:
            return 'denoising U-Net of frames' if 'conv_in' in prefixes else 'motion modules'
        return 'reference U-Net of images' if 'time_embedding' in prefixes else ''
    if {'conv_in', 'conv_out', 'blocks', 'attentions'} <= prefixes and 'attentions.0.norm.weight' in state:
        return 'guidance encoder'
    return ''


def recognise(state: State) -> Recognised | None:
    """The identity of a state of one of the parts; None for another state."""
    unwrapped = {name.removeprefix('smirk_encoder.'): shape for name, shape in state.items()}
    part = part_of(unwrapped)
    if not part:
        return None
    published = PARTS[part]
    if part == 'guidance encoder' and not any(name.startswith('guidance_attention.') for name in unwrapped):
        published = WITHOUT_ATTENTION
    width = next((shape[0] for name, shape in unwrapped.items() if name == 'conv_in.weight' and shape), 0)
    sizes = {'width': width} if width else {}
    return Recognised('magicportrait', 'MagicPortrait', part, '', sizes=sizes, meaning={'': part}, count=published)


MAGICPORTRAIT = Family('MagicPortrait', 'github.com/fudan-generative-vision/champ', recognise)

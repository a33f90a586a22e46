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
    'reference U-Net of pictures': 682,
}
"""Part to the number of tensors of the published one."""
WITHOUT_ATTENTION = 130
"""Tensors of a guidance encoder as Champ released it: without `guidance_attention`, which nothing reads."""


def part_of(state: State) -> str:
    """The part that a state is; '' for none."""
    first = {name.split('.')[0] for name in state}
    if {'pose_encoder', 'expression_encoder'} <= first:
        return 'SMIRK encoder'
    has_motion = any('.motion_modules.' in name for name in state)
    if {'down_blocks', 'up_blocks'} <= first:
        if has_motion:
            return 'denoising U-Net of frames' if 'conv_in' in first else 'motion modules'
        return 'reference U-Net of pictures' if 'time_embedding' in first else ''
    if {'conv_in', 'conv_out', 'blocks', 'attentions'} <= first and 'attentions.0.norm.weight' in state:
        return 'guidance encoder'
    return ''


def recognise(state: State) -> Recognised | None:
    """A state of one of the parts."""
    plain = {name.removeprefix('smirk_encoder.'): shape for name, shape in state.items()}
    part = part_of(plain)
    if not part:
        return None
    published = PARTS[part]
    if part == 'guidance encoder' and not any(name.startswith('guidance_attention.') for name in plain):
        published = WITHOUT_ATTENTION
    width = next((shape[0] for name, shape in plain.items() if name == 'conv_in.weight' and shape), 0)
    sizes = {'width': width} if width else {}
    return Recognised('magicportrait', 'MagicPortrait', part, '', sizes=sizes, meaning={'': part}, count=published)


MAGICPORTRAIT = Family('MagicPortrait', 'github.com/fudan-generative-vision/champ', recognise)

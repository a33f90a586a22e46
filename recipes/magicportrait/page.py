"""The results of `train.py` and `refine.py` as pages."""

from __future__ import annotations

from typing import Any

METRICS = {'psnr_db': 'PSNR, dB', 'ssim': 'SSIM', 'flicker': 'flicker', 'psnr_db less geometry': 'PSNR less geometry'}


def page_of_stages(result: dict[str, Any]) -> str:
    """Tables of what each arm draws."""
    videos = result['videos']
    took = ', '.join(f'{name} {value:.0f}' for name, value in result['cpu_s'].items())
    losses = ', '.join(f'{name} {first:.3f} to {last:.3f}' for name, (first, last) in result['losses'].items())
    lines = [
        '# The two stages of MagicPortrait at a tiny size',
        '',
        f'{videos["learnt from"]} videos learnt from, {videos["held out"]} held out, {videos["frames"]:,} frames, '
        f'squares of {result["size"]} pixels.',
        f'Each video moves its own first frame; {result["judged_frames"]} frames of each are judged. Means with 95 % '
        'intervals over videos.',
        'Made by `recipes/magicportrait/train.py`.',
        '',
        f'CPU seconds: {took}. Losses, first and last row of the log: {losses}.',
        '',
    ]
    for title, arms in result['scores'].items():
        lines += [f'## {title[0].upper()}{title[1:]}', '', '| drawn by | ' + ' | '.join(METRICS.values()) + ' |']
        lines += ['|---' * (1 + len(METRICS)) + '|']
        for name, scores in arms.items():
            cells = [_cell(scores[metric], 3 if metric == 'ssim' else 2) for metric in METRICS]
            lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
        lines.append('')
    return '\n'.join(lines[:-1]) + '\n'


def page_of_refiners(result: dict[str, Any]) -> str:
    """A row a person."""
    refiners = result['refiners']
    kept = sum(each['is_kept'] for each in refiners.values())
    lines = [
        '# Personal refiners',
        '',
        f'Of {len(refiners)} videos {kept} keep theirs: PSNR and SSIM rise on later frames of the same video, with '
        '95 % intervals over stretches of',
        f'frames above 0. Squares of {result["size"]} pixels; {result["cpu_s"] / len(refiners):.0f} CPU seconds a '
        'video. Made by `recipes/magicportrait/refine.py`.',
        '',
        '| video | frames judged | PSNR, dB | SSIM | PSNR gain | SSIM gain | kept |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, each in refiners.items():
        (psnr, ssim), (psnr_after, ssim_after) = each['before'], each['after']
        gains = f'{_cell(each["psnr_gain_db"], 2)} | {_cell(each["ssim_gain"], 3)}'
        lines.append(
            f'| {name} | {each["frames"]} | {psnr:.2f} → {psnr_after:.2f} | {ssim:.3f} → {ssim_after:.3f} '
            f'| {gains} | {"yes" if each["is_kept"] else "no"} |'
        )
    return '\n'.join(lines) + '\n'


def _cell(interval: dict[str, float], digits: int) -> str:
    value, low, high = (interval[name] for name in ('value', 'low', 'high'))
    return f'{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]'

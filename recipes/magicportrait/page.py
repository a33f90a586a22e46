"""The results of `train.py` and `refine.py` as pages."""

from __future__ import annotations

from typing import Any

METRICS = {'psnr_db': 'PSNR, dB', 'ssim': 'SSIM', 'flicker': 'flicker', 'psnr_db less geometry': 'PSNR less geometry'}


def page_of_stages(result: dict[str, Any]) -> str:
    """Tables of what each arm draws."""
    videos, people = result['videos'], result['persons']
    took = ', '.join(f'{name} {value:.0f}' for name, value in result['cpu_s'].items())
    losses = ', '.join(f'{name} {first:.3f} to {last:.3f}' for name, (first, last) in result['losses'].items())
    lines = [
        '# The two stages of MagicPortrait at a tiny size',
        '',
        f'{_count(videos, people, "learnt from")} learnt from, {_count(videos, people, "held out")} held out, '
        f'{result["frames"]:,} frames, squares of {result["size"]} pixels.',
        f'Nobody is on both sides: the nearest faces across are {result["nearest_persons_apart"]:.2f} apart; '
        f'one person lies below {result["same_person_below"]}.',
        f'Each video moves its own first frame; {result["judged_frames"]} frames of each are judged. Means with 95 % '
        'intervals over persons.',
        'Made by `recipes/magicportrait/train.py`.',
        '',
        f'Held out: {", ".join(videos["held out"])}.',
        '',
        f'CPU seconds: {took}. Losses, first and last row of the log: {losses}.',
        '',
    ]
    for title, arms in result['scores'].items():
        lines += [f'## {title[0].upper()}{title[1:]}', '', '| drawn by | ' + ' | '.join(METRICS.values()) + ' |']
        lines += ['|---' * (1 + len(METRICS)) + '|']
        for name, scores in arms.items():
            cells = [_cell(scores[m], 3 if m == 'ssim' else 2) if m in scores else '–' for m in METRICS]
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
        'frames above 0; between those learnt from and those judged, as many as a stretch has are left out.',
        f'Squares of {result["size"]} pixels; {result["cpu_s"] / len(refiners):.0f} CPU seconds a '
        'video. Made by `recipes/magicportrait/refine.py`.',
        '',
        '| video | frames judged | PSNR, dB | SSIM | PSNR gain | SSIM gain | kept |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, each in refiners.items():
        (psnr, ssim), (psnr_after, ssim_after) = (
            (each[when]['psnr_db'], each[when]['ssim']) for when in ('before', 'after')
        )
        gains = f'{_cell(each["psnr_gain_db"], 2)} | {_cell(each["ssim_gain"], 3)}'
        lines.append(
            f'| {name} | {each["frames"]} | {psnr:.2f} → {psnr_after:.2f} | {ssim:.3f} → {ssim_after:.3f} '
            f'| {gains} | {"yes" if each["is_kept"] else "no"} |'
        )
    return '\n'.join(lines) + '\n'


def _count(videos: dict[str, list[str]], people: dict[str, int], side: str) -> str:
    return f'{len(videos[side])} videos of {people[side]} persons'


def _cell(interval: dict[str, float | None], digits: int) -> str:
    """A number with its interval; – for an end, or all of it, that is not known."""
    value, low, high = (
        '–' if number is None else f'{number:.{digits}f}'
        for number in (interval[name] for name in ('value', 'low', 'high'))
    )
    return f'{value} [{low}, {high}]'

"""docs/performance.md, written from the result files; a test checks that the page and the files agree."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

HEAD = """# Performance

Written by `./dev bench` from the files under `measurements/results/`; do not edit. Two shared cores, no GPU: ratios
within one run travel to other machines, seconds do not.
"""


def write_page(results: Path, out: Path) -> Path:
    """Write the page and return its path."""
    out.write_text(page(results))
    own_data = out.with_name('own_data.md')
    own_data.write_text(with_example(own_data.read_text(), results))
    return out


def page(results: Path) -> str:
    """The page for the result files that are there."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        path = results / f'{name}.json'
        if path.exists():
            parts.append(section(json.loads(path.read_text())))
    return '\n'.join(parts)


def table(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table; numbers are aligned right."""
    marks = ['---' if isinstance(value, str) else '---:' for value in rows[0]]
    lines = [head, marks, *rows]
    return '\n'.join('| ' + ' | '.join(str(value) for value in line) + ' |' for line in lines) + '\n'


def _pace(result: dict[str, Any]) -> str:
    """The main job beside an earlier state of the repository and beside mediapipe, where they were measured."""
    text = ''
    if 'against' in result:
        both = result['against']
        text += (
            f'\nAt the default 12.5 frames/s, in turn with commit {both["ref"]} on {both["cores"]} cores in the same '
            f'run: {both["fps_now"]} frames/s against {both["fps_before"]}, {both["wall_ratio"]} of its wall time and '
            f'{both["cpu_ratio"]} of its processor time (medians of {len(both["wall_ratio_of_each_round"])} rounds). '
            f'Seconds by cores: {", ".join(f"{n}: {s}" for n, s in both["analyze_s_by_cores"].items())}.'
            f'{_company(both)}\n'
        )
    if 'mediapipe' in result:
        peer = result['mediapipe']
        text += (
            f'\n{peer["package"]} in video mode, landmarks alone, on the same frames: '
            f'{peer["frames_per_cpu_second"]} frames per processor second.\n'
        )
    return text


def _company(both: dict[str, Any]) -> str:
    """That others used the machine meanwhile, where they did: seconds and paces are then no machine's own."""
    loads = both.get('load_average_before_each_round', [])
    if not loads or max(loads) <= both['cores']:
        return ''
    return (
        f' Other work ran on the same cores meanwhile (load average {min(loads)} to {max(loads)}), so that seconds and '
        'frames/s are lower than those of a free machine, and the ratio of wall times of each round differs '
        f'({min(both["wall_ratio_of_each_round"])} to {max(both["wall_ratio_of_each_round"])}).'
    )


def end_to_end(result: dict[str, Any]) -> str:
    speed = result['every_frame']
    text = (
        '## The main job, end to end\n\n'
        f'`measurements/end_to_end.py`: {result["clip"]}; face, voice and words all on; {result["cores"]} cores'
        f'{" of " + result["processor"] if "processor" in result else ""}; '
        f'median of {len(result["fps_of_each_run"])} runs. A peer publishes 8.9 to 17.6 frames/s on a CPU for '
        'faces alone.\n\n'
    )
    text += table(
        ['what', 'figure'],
        [
            ['every frame of the video analyzed, frames/s', round(speed['fps_analyze'], 1)],
            ['the same with results saved and the report written, frames/s', round(speed['fps_with_report'], 1)],
            [
                'of the slowest and the fastest run, frames/s',
                f'{min(result["fps_of_each_run"])} – {max(result["fps_of_each_run"])}',
            ],
        ],
    )
    text += _pace(result)
    if result['memory']:
        text += '\nPeak memory at the default 12.5 frames/s, one process each:\n\n'
        text += table(
            ['recording', 'peak MB', 'CPU seconds per minute'],
            [
                [
                    f'{m["duration_s"] / 60:.0f} min',
                    round(m['peak_mb']),
                    round(60 * m['analyze_cpu_s'] / m['duration_s']),
                ]
                for m in result['memory']
            ],
        )
        text += (
            f'\nThe longest over the shortest: {result["peak_of_longest_over_shortest"]:.2f}. Models '
            'are released after use for a single recording, and for recordings of ten seconds or more in a folder; '
            'shorter ones keep them for the next file.\n'
        )
    return text


def startup(result: dict[str, Any]) -> str:
    rows = [[what, round(value, 3)] for what, value in result['seconds'].items()]
    return (
        '## Starting\n\n`measurements/startup.py`: seconds of a whole process, median of 7.\n\n'
        + table(['what', 's'], rows)
        + f'\n`import affekt` takes {result["import_affekt_over_import_numpy"]:.2f} of the time of `import numpy`. '
        f'A core install is {result["core_packages"]} packages, affekt included; torch is not among them.\n'
    )


def media_fuzz(result: dict[str, Any]) -> str:
    rows = [[name, *counts.values()] for name, counts in result['by_damage'].items()]
    rows.append(['**all**', *result['counts'].values()])
    return (
        f'## Damaged files\n\n`measurements/media_fuzz.py`: {result["files"]:,} damaged files made of '
        f'{len(result["by_file"])} small ones. *ok*: the same duration and number of images; *altered*: the same, but '
        'pixels or samples differ, as a flipped byte in PCM must; *foretold*: the end is missing, and the report '
        'states that no length is stated; *reported*: what is missing is said; *refused*: one clear error. The other '
        'classes are bugs. Each file is read in a process of its own: the largest takes '
        f'{result["peak_memory_mb"]:.0f} MB at '
        f'its peak, the slowest {result["longest_cpu_s"]:.1f} s of processor time.\n\n'
        + table(['damage', *result['counts']], rows)
    )


def media_speed(result: dict[str, Any]) -> str:
    return '## Decoding\n\n`measurements/media_speed.py`\n\n' + table(
        ['what', 'figure'], [[k, v] for k, v in result.items()]
    )


def faces_agreement(result: dict[str, Any]) -> str:
    keys = {
        'faces_by_mediapipe': 'faces, mediapipe',
        'faces_by_affekt': 'faces, affekt',
        'landmarks_mean_percent_of_eye_distance': 'landmarks, % of eye distance',
        'blendshapes_r': 'blendshapes r',
        'blendshapes_largest_difference': 'largest blendshape difference',
        'pose_turn_mean_deg': 'head turn, degrees',
    }
    runs = result['images'] | {f'{name}, tracked': value for name, value in result['video'].items()}
    speed = [v['cpu_ms_per_frame_affekt'] / v['cpu_ms_per_frame_mediapipe'] for v in result['video'].values()]
    return (
        f'## Faces compared with {result["package"].replace("==", " ")}\n\n'
        '`measurements/faces_agreement.py`, the same model file in both.\n\n'
        + table(['input', *keys.values()], [[name, *(v[k] for k in keys)] for name, v in runs.items()])
        + "\nCPU time of a tracked frame over mediapipe's in the same run: "
        + ' and '.join(f'{s:.2f}' for s in speed)
        + '.\n'
    )


def faces_limits(result: dict[str, Any]) -> str:
    shares_by_picture = result['share_found_by_face_size_px']
    sizes = list(next(iter(shares_by_picture.values())))
    still = [
        [
            f'{clip}, {row["still_levels"]:g} grey levels',
            f'{row["measured"]:.0%}',
            round(row['cpu_ms_per_frame'], 1),
            round(row['smile_worst'], 2),
            round(row['eyes_closed_worst'], 2),
        ]
        for clip, rows in result['taking_over_still_faces'].items()
        for row in rows
    ]
    return (
        '## How small a face is found\n\n`measurements/faces_limits.py`: share found of 12 placements, by side of the '
        'face in pixels.\n\n'
        + table(
            ['image', *sizes],
            [[size, *(round(v, 2) for v in shares.values())] for size, shares in shares_by_picture.items()],
        )
        + '\n## Skipping faces that do not move\n\nOff by default; what it would save and cost.\n\n'
        + table(['clip, threshold', 'frames measured', 'CPU ms a frame', 'worst smile error', 'worst eye error'], still)
    )


def faces_turned(result: dict[str, Any]) -> str:
    rows = [
        [
            f'{row["angle"]}°',
            f'{row["first_misread"]} of {row["first_read"]}',
            f'{row["misread"]} of {row["read"]}',
            '' if row['least_margin_of_right'] is None else row['least_margin_of_right'],
        ]
        for row in result['turned']
    ]
    return (
        f'## Upside-down faces\n\n`measurements/faces_turned.py`: faces of {result["pictures"]} '
        'images, rotated. If the detector takes a face for one the other way up, it is detected again '
        'there.\n\n' + table(['rotated by', 'misread at first', 'misread', 'smallest margin if correct at first'], rows)
    )


def faces_gaze(result: dict[str, Any]) -> str:
    return (
        f'## Gaze\n\n`measurements/faces_gaze.py`: half the sum of the readings of an image and its mirror image, over '
        f'{result["people"]} people, 0 where no side is preferred: {result["half_sum_without_correction_deg"]}° as the '
        f'network reads, {result["half_sum_as_shipped_deg"]}° as shipped (deviation over people '
        f'{result["standard_deviation_over_people_deg"]}°). '
        f'Closed eyes, {result["pictures_with_closed_eyes"]} pictures, would read '
        f'{result["their_pitch_if_it_were_read_deg"]}° in pitch; they look nowhere.\n'
    )


def faces_affect(result: dict[str, Any]) -> str:
    rows = [
        [
            way,
            *(found for split in ('validation', 'test') for found in (
                result[split][way]['valence']['concordance'],
                result[split][way]['valence']['neutral_median'],
                f'{result[split][way]["valence"]["neutral_share_negative"]:.0%}',
            )),
        ]
        for way in result['test'] if way != 'faces'
    ]  # fmt: skip
    head = [f'{split}: {what}' for split in ('fitted on', 'test') for what in ('concordance', 'neutral', 'negative')]
    return (
        '## Valence of faces\n\n`measurements/faces_affect.py`: FER2013, agreement with the places of its labels on '
        'the circumplex (categories count alike), median valence of faces labelled neutral, and the share of them that '
        'comes out negative.\n\n' + table(['way', *head], rows)
    )


def faces_quality(result: dict[str, Any]) -> str:
    rows = [
        [rule, figures['log_loss'], *(f'{figures[of]:.0%}' for of in ('speaks', 'right_where_it_speaks', 'says'))]
        for rule, figures in result['rules'].items()
    ]
    best = ', '.join(
        f'{part["best_exponent"]} at {part["quality"][0]} to {part["quality"][1]}' for part in result['by_quality']
    )
    return (
        f"## What quality is worth\n\n`measurements/faces_quality.py`: {result['faces']} images of FER2013's "
        f'validation part. The exponent that suits the probabilities best, by quality: {best}.\n\n'
        + table(['weight of a face', 'log loss', 'speaks', 'right where it speaks', 'says'], rows)
    )


def faces_identity(result: dict[str, Any]) -> str:
    fits = result['fitted_on']
    rows = [
        [
            name,
            fit['middle'],
            fit['spread'],
            *(f'{100 * on["wrong"]:.2f} %, {100 * on["right"]:.1f} %' for on in fit['judged_on'].values()),
        ]
        for name, fit in fits.items()
    ]
    worse = [
        [row['collection'], row['side_px'], row['blur_px'], row['of_two_low'], row['of_two']]
        for row in result['degraded']
    ]
    counts = next(iter(fits.values()))['judged_on']
    pairs = '; '.join(
        f'{name}: {on["pairs_of_two"]} of two, {on["pairs_of_one"]} of one' for name, on in counts.items()
    )
    return (
        '## Recognising a person again\n\n`measurements/faces_identity.py`: pairs of tracks with one to four images '
        f'each ({pairs}), joined where the face is sure at {100 * result["sure"]:.0f} %. Each cell: pairs of two '
        'people joined wrongly, pairs of one person joined. Joining nothing is 0 % and 0 %, joining all 100 % and '
        '100 %. The constants in use are those of `att_faces`, whose different people look most alike; films and '
        'images taken years apart are unseen test sets.\n\n'
        + table(['fitted on', 'middle', 'spread', *fits], rows)
        + '\nDistances of two people (the 0.5 % quantile, and the median) in small and blurred images, which '
        'is why such faces are not compared:\n\n'
        + table(['collection', 'side, pixels', 'blur, pixels', 'low', 'median'], worse)
    )


def speakers(result: dict[str, Any]) -> str:
    judged = {
        'affekt': result['in_use']['judged'],
        'all turns one speaker': result['all_one'],
        'each turn its own': result['each_turn_own'],
    }
    keys = ('purity', 'covered', 'told_apart', 'right_number_where_told', 'split')
    rows = [[way, name, *(row[key] for key in keys)] for way, sets in judged.items() for name, row in sets.items()]
    return (
        '## Speakers distinguished by voice\n\n`measurements/speakers.py`: dialogues of one to four speakers made of '
        f'clips (median turn {result["median_turn_s"]} s). Thresholds were chosen on nEMO and tested on RAVDESS. '
        'Purity: share of the time with a named speaker that is of the one who has most of that name. Covered: share '
        'of the time with a named speaker in dialogues of two and more. Distinguished: share of these dialogues in '
        'which anybody is named; number correct: share of those with the right number of speakers. Split: share of '
        'single speakers taken for several.\n\n'
        + table(['way', 'dialogues', 'purity', 'covered', 'distinguished', 'number correct', 'split'], rows)
    )


def faces_conditions(result: dict[str, Any]) -> str:
    names = ('covered', 'drawn', 'blurred', 'upside_down')
    rows = [
        [part, shown, row['pictures'], row['found'], *(f'{100 * row[name]:.1f}' for name in names)]
        for part, by_shown in result['shares'].items()
        if part not in result['fitted_on']
        for shown, row in by_shown.items()
    ]
    return (
        '## Faces that are covered, drawn, blurred or upside down\n\n`measurements/faces_conditions.py`: of the faces '
        'that are found, the share in % that is taken for covered, drawn, blurred and upside down, on faces that '
        'nothing was fitted on. Covers are pasted and drawings are filtered photographs: real ones may be harder. Bare '
        'faces of FER2013 include real hands and glasses.\n\n'
        + table(['faces', 'shown', 'pictures', 'found', *(name.replace('_', ' ') for name in names)], rows)
    )


def faces_views(result: dict[str, Any]) -> str:
    clips = result['clips']
    names = ('frame_mean', 'frame_largest', 'consecutive_frames_mean', 'second_mean', 'second_largest', 'clip_largest')
    labels = (
        'of single frames, mean',
        'of single frames, largest',
        'between consecutive frames, mean',
        'of means over a second, mean',
        'of means over a second, largest',
        'of the mean over a clip, largest',
    )
    rows = [
        [label, f'{mean(clip[name] for clip in clips):.4f}', f'{max(clip[name] for clip in clips):.3f}']
        for name, label in zip(names, labels, strict=True)
    ]
    return (
        '## Expressions in one view per frame\n\n`measurements/faces_views.py`: in videos, the expression network '
        'reads each face in one view, as it is and mirrored in turn from frame to frame. Absolute differences of a '
        f'probability from those of both views, {len(clips)} real clips, {sum(clip["faces"] for clip in clips):,} '
        f'faces at {result["fps"]:g} frames/s; processor time {result["processor_time_ratio"]:g} of both.\n\n'
        + table(['difference', 'mean over clips', 'largest'], rows)
    )


def open_vocabulary_speed(result: dict[str, Any]) -> str:
    keys = ('peer_s', 'ew_l1_s', 'all_twelve_s', 'consistent_s')
    rows = [
        [text, *(round(1000 * times[key]) for key in keys), round(times['peer_over_affekt'])]
        for text, times in result['batch'].items()
    ]
    single = result['single']
    return (
        f'## Scores of open labels\n\n`measurements/open_vocabulary_speed.py`: {result["samples"]:,} samples, '
        'milliseconds after load, compared with a plain form of the published loop that gives the same EW-L1. '
        '*Consistent* is every score of that mode, the matching of near misses included.\n\n'
        + table(['answers', 'peer EW-L1', 'affekt EW-L1', 'all twelve', 'consistent', 'peer / affekt'], rows)
        + f'\nOne sample, as a reward: {1e6 * single["official_reward_s"]:.0f} µs official, '
        f'{1e6 * single["consistent_reward_s"]:.0f} µs consistent. The peer takes '
        f'{1000 * single["peer_reading_tables_s"]:.0f} ms where it reads its tables in each call, as the '
        f'published code does ({single["peer_over_affekt"]:,.0f} times as long), and '
        f'{1e6 * single["peer_tables_held_s"]:.0f} µs '
        'where it holds them.\n'
    )


def feature_store(result: dict[str, Any]) -> str:
    load, memory = result['loading'], result['memory']
    rows = [
        ['all, in the order of the file: a view', load['npy_s'], load['open_and_view_s'], load['view_times_faster']],
        ['the same, and a sum over every value', load['npy_and_sum_s'], load['open_view_and_sum_s'],
         load['view_and_sum_times_faster']],
        ['all, in random order: a copy', load['npy_shuffled_s'], load['open_and_copy_shuffled_s'],
         load['copy_times_faster']],
        ['the same from an open store, samples by number', load['npy_shuffled_s'], load['copy_shuffled_s'],
         load['copy_of_open_times_faster']],
    ]  # fmt: skip
    return (
        f'## Loading features\n\n`measurements/feature_store.py`: {load["samples"]:,.0f} samples of '
        f'{load["dimension"]:,.0f} float32, read by the system before; milliseconds, opening included but for '
        f'the last row, median of {load["runs"]:.0f} runs, compared with a plain loop over one .npy per sample.\n\n'
        + table(
            ['what', '.npy', 'store', '.npy / store'],
            [[what, round(1e3 * npy), round(1e3 * store, 1), round(times)] for what, npy, store, times in rows],
        )
        + f'\nOne sample at a time, in random order: {1e3 * load["random_npy_ms"]:.0f} µs and '
        f'{1e3 * load["random_store_ms"]:.1f} µs. The pool of eight processes that the published loader starts takes '
        f'{load["published_pool_s"]:.1f} s here.\n\n'
        f'A store of {memory["samples"]:,.0f} samples ({memory["values_mb"]:.0f} MB) adds '
        f'{memory["opened_mb_above"]:.0f} MB to the resident memory of a process that opens it. Every value read, '
        f'{memory["read_all_private_mb_above"]:.0f} MB are its own; the rest is the file, which the system shares and '
        'takes back.\n'
    )


def pretraining_speed(result: dict[str, Any]) -> str:
    step, memory = result['step'], result['peak_mb']
    rows = [[f'a step of {way}', round(step[f'{way}_step_s'], 2), round(memory[way])] for way in ('plain', 'ours')]
    pixels = f'{result["frames_size"]} x {result["frames_size"]} pixels'
    text = (
        f'## A step of pre-training\n\n`measurements/pretraining_speed.py`: HiCMAE {result["form"]}, {pixels}, '
        f'{step["batch"]} clips, one thread, float32. The plain step embeds all patches, picks by boolean masks and '
        'writes out attention, on the same weights; '
        f'the losses differ by at most {step["largest_loss_difference"]:.0e}.\n\n'
        + table(['what', 'CPU seconds', 'peak memory, MB'], rows)
        + f'\nOurs takes {step["times_faster"]:.2f} times fewer seconds: '
        f'{step["clips_per_cpu_s"]:.2g} clips a CPU second.\n'
    )
    if 'processor' in step:
        text += f'Steps were timed on a processor with {step["processor"]}.\n'
    for size, other in result.get('other_steps', {}).items():
        text += (
            f'\nA step of {size} takes {other["plain_step_s"]:.2f} CPU seconds plain and {other["ours_step_s"]:.2f} '
            f'in ours, {other["times_faster"]:.2f} times fewer.\n'
        )
    for processor, other in result.get('on_other_processors', {}).items():
        sizes = {other['form']: other['step']} | other['other_steps']
        shares = ', '.join(f'{each["times_faster"]:.2f} in {size}' for size, each in sizes.items())
        text += f'\nOn another processor ({processor}) ours takes fewer seconds by these factors: {shares}.\n'
    if 'audio' in result:
        audio = result['audio']
        text += (
            f'\nA step of audio alone handles {audio["clips_per_cpu_s"]:.0f} clips per CPU second, '
            f'{audio["times_both"]:.1f} times as many as one of both modalities in the same run.\n'
        )
    if 'inference_peak_mb' in result:
        memory = result['inference_peak_mb']
        rows = [[size, round(each['ours']), each['published']] for size, each in memory.items()]
        text += '\nFine-tuned networks on four clips, peak memory in MB:\n\n'
        text += table(['size', 'ours', 'published program'], rows)
    if 'use' in result:
        use = result['use']
        rows = [
            [way.replace('_', ' '), round(use[way]['clips_per_second'], 1), f'{use[way]["model_flops_use"]:.0%}']
            for way in ('not_compiled', 'compiled')
            if way in use
        ]
        text += f'\n{use["device"]}, {use["batch"]} clips a step; {use["flops_per_clip"] / 1e9:.0f} GFLOP a clip:\n\n'
        text += table(['blocks', 'clips per second', 'of the pace of one matrix product'], rows)
    return text


def clip_cache(result: dict[str, Any]) -> str:
    made, faces = result['made_up'], result.get('faces')
    rows = [
        ['decoded, published crop', 'decoded'],
        ['16 images of a folder of JPG files, and a wav', 'folder'],
        ['packed cache', 'cache'],
    ]
    tensors = 'cache_to_tensors_ms' in made
    return (
        f'## Clips from the packed cache\n\n`measurements/clip_cache.py`: a window of 16 frames with its audio, of '
        f'{made["clips"]:.0f} synthetic videos of 224 x 224 and {made["seconds"]:.0f} s; CPU milliseconds per clip.\n\n'
        + table(
            ['read', 'window', '/ cache', 'to tensors', '/ cache'],
            [
                [
                    what,
                    round(made[f'{way}_ms'], 1),
                    round(made[f'{way}_ms'] / made['cache_ms']),
                    round(made[f'{way}_to_tensors_ms'], 1) if tensors else '–',
                    round(made[f'{way}_to_tensors_ms'] / made['cache_to_tensors_ms'], 1) if tensors else '–',
                ]
                for what, way in rows
            ],
        )
        + f'\nPacking takes {made["packing_ms"]:.0f} ms per clip, once; {made["estimated_mb"]:.1f} MB were announced '
        f'before and {made["cache_mb"]:.1f} MB written.\n'
        + (
            f'\nReal clips, faces found and aligned: {faces["first_epoch_ms"]:.0f} ms a clip in the first epoch, '
            f'{faces["later_epoch_ms"]:.1f} ms in every other.\n'
            if faces
            else ''
        )
    )


def manifest_scale(figures: dict[str, Any]) -> str:
    rows = [
        [
            job, *(round(figures[job][f'{way}_cpu_s'], 2) for way in ('records', 'columns')),
            round(figures[job]['cpu_times_fewer'], 1),
            *(round(figures[job][f'{way}_peak_mb']) for way in ('records', 'columns')),
            round(figures[job]['memory_times_less'], 1),
        ]
        for job in ('load', 'save')
    ]  # fmt: skip
    return (
        f'## A manifest of {figures["samples"] / 1e6:.1f} million samples\n\n`measurements/manifest_scale.py`: '
        f'{figures["file_mb"]:.0f} MB of Parquet, {figures["table_mb"]:.0f} MB as columns; CPU seconds and the peak of '
        f'resident memory, {figures["nothing_peak_mb"]:.0f} MB of it the program itself; median of {figures["runs"]} '
        'processes. *Records* is one object a sample made from the same file, as manifests were kept before. A process '
        'that saves has loaded before.\n\n'
        + table(
            ['what', 'records, CPU s', 'columns, CPU s', 'times fewer', 'records, MB', 'columns, MB', 'times less'],
            rows,
        )
    )


def frame_annotations(figures: dict[str, Any]) -> str:
    names = {'affect': 'valence and arousal', 'expression': 'expression', 'units': '12 action units'}
    names['multitask'] = 'all three, of named frames, in one file'
    rows = [
        [
            names[task], round(of_task['lines_per_s'] / 1e6, 1), round(of_task['plain_lines_per_s'] / 1e6, 2),
            round(of_task['times_faster'], 1),
        ]
        for task, of_task in figures['tasks'].items()
    ]  # fmt: skip
    release, saved, sent = figures['release'], figures['table'], figures['submission']
    return (
        f'## Annotations by frame\n\n`measurements/frame_annotations.py`: {figures["lines"]:,} lines of each task in '
        f'{figures["videos"]} files, or in one where lines name their frames, opened and checked; millions '
        f'of lines per CPU second of one thread, median of '
        f'{figures["runs"]} runs. *Loop* splits each line and checks nothing, as published entries do.\n\n'
        + table(['lines of', 'affekt, million per s', 'loop, million per s', 'times faster'], rows)
        + f'\nA release of all three tasks ({release["lines"]:,} lines) becomes one table in '
        f'{release["cpu_s"]:.2f} CPU seconds, {release["lines_per_s"] / 1e6:.1f} million lines a second. The table '
        f'takes {saved["mb"]:.1f} MB on disk, {saved["save_cpu_s"]:.2f} s to save and {saved["load_cpu_s"]:.2f} s to '
        f'load. Submissions are written at {sent["write_lines_per_s"] / 1e6:.1f} and checked against the frames to '
        f'answer at {sent["check_lines_per_s"] / 1e6:.1f} million lines a second. A file with a bad line is walked a '
        f'second time, at {figures["one_bad_line"]["lines_per_s"] / 1e6:.2f} million lines a second, to name it.\n'
    )


def ranking_speed(result: dict[str, Any]) -> str:
    large, smaller = result['million'], result['hundred_thousand']
    runs = [large[f'ours_{which}'] for which in ('fastest', 'median_of_five', 'slowest')]
    rows = [
        ['counting and fitting, CPU s', *(round(run['fit_cpu_s'], 3) for run in runs)],
        ['the same, wall s', *(round(run['fit_wall_s'], 3) for run in runs)],
        ['1,000 bootstrap resamples, CPU s', *(round(run['bootstrap_cpu_s'], 2) for run in runs)],
        ['the same, wall s', *(round(run['bootstrap_wall_s'], 2) for run in runs)],
        ['peak MB', *(round(run['peak_mb']) for run in runs)],
    ]
    ties = large['ours_with_tie_models']
    return (
        '## Ranking: speed\n\n`measurements/ranking_speed.py`: 1,000,000 comparisons of 100 items, a tenth ties; one '
        f'thread, five processes; the two cores had a load of {result["load_average"]:.1f}.\n\n'
        + table(['what', 'fastest', 'median', 'slowest'], rows)
        + '\nWith tie models 1,000 resamples take '
        + ' and '.join(f'{run["bootstrap_cpu_s"]:.2f} CPU s ({name})' for name, run in ties.items())
        + f'. In the same run, in CPU seconds: evalica {result["versions"]["evalica"]} fits in '
        f'{large["evalica_over_ours"]:.1f} times our time and choix in {large["choix_over_ours"]:.0f} times; but where '
        f'ours, too, starts from names instead of numbers, evalica takes {large["evalica_over_ours_from_names"]:.2f} '
        f"times our time. It peaks at {large['evalica']['peak_mb']:.0f} MB. Log-strengths differ from evalica's by "
        f'{large["difference_to_evalica"]:.0e}. At 100,000 comparisons of {smaller["items"]} items, 1,000 resamples '
        f"take {smaller['ours_1000_resamples']['bootstrap_cpu_s']:.2f} CPU s, and a resample of evalica's percentile "
        f'bootstrap {smaller["evalica_over_ours_per_resample"]:.0f} times as long '
        f'({smaller["evalica_resamples"]} were run).\n'
    )


def ranking_coverage(result: dict[str, Any]) -> str:
    def share(value: float | None) -> str:
        return '–' if value is None else f'{100 * value:.1f}'

    rows = [
        [
            scenario['scenario'],
            share(scenario['refused'] / scenario['repeats']),
            *(share(scenario['profile'][what]) for what in ('strengths', 'differences', 'effects')),
            share(scenario['sandwich']['strengths']),
            share(scenario['bootstrap']['strengths'] if 'bootstrap' in scenario else None),
            share(scenario['places_all_right']),
        ]
        for scenario in result['scenarios']
    ]
    return (
        '## Ranking: how often intervals hold the truth\n\n`measurements/ranking_coverage.py`: 95 % intervals, in %; '
        f'8 items unless said; {result["scenarios"][0]["repeats"]} repeats, so that a figure is off by about 0.3, and '
        'by about 0.8 for effects. Data without finite strengths is refused and left out; the percentile bootstrap is '
        'judged by a quarter of the repeats, and only where at most 2.5 % of its resamples have no finite strengths. '
        '*Places*: no item surely above another that is as strong or stronger, all pairs at once.\n\n'
        + table(
            [
                'scenario',
                'refused',
                'profile: strengths',
                'differences',
                'effects',
                'sandwich: strengths',
                'bootstrap: strengths',
                'places',
            ],
            rows,
        )
    )


def ranking_recovery(result: dict[str, Any]) -> str:
    rows = [
        [
            f'{size["items"]} items, {strategy}',
            *(f'{value:.2f}' for value in size[strategy]['tau_after'].values()),
            round(size[strategy]['median_cost']),
        ]
        for size in result['sizes']
        for strategy in ('random', 'order', 'strengths')
    ]
    seen = list(result['sizes'][0]['random']['tau_after'])
    return (
        '## Ranking: verdicts that a ranking takes\n\n`measurements/ranking_recovery.py`: mean Kendall tau with the '
        f'true order after so many verdicts, and the median number from which on it stays at {result["target_tau"]}; '
        f'{result["sizes"][0]["repeats"]} repeats.\n\n'
        + table(['pairs', *(f'after {verdicts}' for verdicts in seen), f'to {result["target_tau"]}'], rows)
    )


def annotate_kills(result: dict[str, Any]) -> str:
    return (
        '## Votes that survive a kill\n\n'
        f'`measurements/annotate_kills.py`: {result["kills"]} times `kill -9` at a random moment, '
        f'{result["kills_while_voting"]} of them while votes were being taken, while three raters vote and take back. '
        f'{result["acknowledged_votes"]:,} votes acknowledged, {result["undone"]} taken back; {result["lost"]} lost, '
        f'{result["twice"]} stored twice, {result["exported_differs_by"]} wrong in the exported table. '
        f'{result["stored_before_a_lost_answer"]} were on disk when the kill took their answer, and were sent again.\n'
    )


def run_kills(result: dict[str, Any]) -> str:
    verbs = {name: verb for name, verb in result.items() if name != 'versions'}
    rows = [
        [f'`{name}`', verb['kills'], verb['rounds'], verb['results_at_kills'], *verb['broken'].values()]
        for name, verb in verbs.items()
    ]
    broken = [name.replace('_', ' ') for name in next(iter(verbs.values()))['broken']]
    return (
        '## Runs that survive a kill\n\n'
        '`measurements/run_kills.py`: `kill -9` at random moments of runs on small inputs, each followed by the same '
        'command again, until the run is done; then another run begins. *Results*: those in the '
        'journal at the time of a kill. The other columns count errors: results lost, noted twice, written '
        'again or torn, files left over, runs that failed, and results that differ from those of a run that nobody '
        'killed.\n\n' + table(['verb', 'kills', 'runs', 'results', *broken], rows)
    )


def fusion_speed(result: dict[str, Any]) -> str:
    rows = [
        [*name.split('-'), round(times['five_folds_100_epochs_s'] / 60, 1), round(times['times_fewer'], 1)]
        for name, times in result['training'].items()
        if name != 'plain'
    ]
    plain, memory = result['training']['plain']['five_folds_100_epochs_s'] / 60, result['memory_fusion']
    timed = ('alone_s', 'together_s', 'times_fewer')
    together = [
        [*(row[key] for key in ('model', 'hidden', 'feature_size')), *(round(row[key], 3) for key in timed)]
        for row in result['together']
    ]
    return (
        '## Training fusion models\n\n`measurements/fusion_speed.py`: attention on the sizes of MER2023, five folds of '
        '100 epochs, one thread, tests scored once. A plain rendering of the published loop (batches of 32) takes '
        f'{plain:.1f} CPU minutes.\n\n'
        + table(['form', 'batch', 'products', 'CPU minutes', 'times fewer'], rows)
        + precision_effect(result.get('precision'))
        + f'\nA step of MFN, 32 samples of 40 steps: {memory["plain_step_s"]:.3f} s plain, '
        f'{memory["ours_step_s"]:.3f} s ours, {memory["times_faster"]:.2f} times as fast; outputs differ by '
        f'{memory["largest_output_difference"]:.0e} at most.\n\n'
        'Ten models (five folds, two rates) as one batched model, CPU seconds an epoch and model:\n\n'
        + table(['model', 'H', 'feature size', 'alone', 'together', 'alone / together'], together)
    )


FORMS_OF_A_STEP = {'plain': 'as published', 'frame_by_frame': 'frame by frame', 'ours': 'ours'}


def sequence_speed(result: dict[str, Any]) -> str:
    """Models of frames beside plain renderings of the published code."""
    beside = [
        [row['model'], row['features'], row['windows'], FORMS_OF_A_STEP[form],
         *(f'{figure:.2f}' for figure in (seconds, row['step_s']['ours'], row['products_s'])),
         f'{row["times_faster"][form]:.1f}', f'{row["most_possible"][form]:.1f}']
        for row in result['beside_the_loop'] for form, seconds in row['step_s'].items() if form != 'ours'
    ]  # fmt: skip
    calls = [
        [row['model'], FORMS_OF_A_STEP[form], f'{count:,}']
        for row in result['same'] for form, count in row['operator_calls'].items()
    ]  # fmt: skip
    once = [
        [row['features'], row['windows'], f'{row["one_after_another_s"]:.2f}', f'{row["at_once_s"]:.2f}']
        for row in result['at_once']
    ]
    others = [
        [row['model'], row['features'], row['windows'], f'{row["step_s"]:.2f}'] for row in result['without_a_loop']
    ]
    apart = max(each for row in result['same'] for each in row['largest_answer_difference'].values())
    translation = ''
    if (both := result.get('translation')) is not None:
        translation = (
            f'\nDecoders of `mctn_sequence` in its corrected form, {both["windows"]} window a step, {both["features"]} '
            f'features: {both["step_s"]["at_once"]:.2f} s where all frames are read at once, in two passes, and '
            f'{both["step_s"]["in_turn"]:.2f} s where they read their own answers, one frame after another: '
            f'{both["times_faster"]:.1f} times as fast.\n'
        )
    sizes = '; '.join(
        f'{features}: {", ".join(str(size) for size in each.values())}' for features, each in result['sizes'].items()
    )
    return (
        f'## Training models of frames\n\n`measurements/sequence_speed.py`: a training step on windows of '
        f'{result["frames"]:,} frames and five modalities ({sizes}), one thread, in CPU seconds, beside a plain '
        'rendering of the published code with the same weights, width and dropout. Only its memory fusion network goes '
        'through frames one at a time; `attention_sequence` calls an LSTM for all frames, there and here, and a loop '
        f'over frames is what others make of it. Without dropout, answers differ by {apart:.0e} at most. *Products* '
        'are those of weights with features and states alone, which any form of the method has to do: with more '
        'windows a step they become the cost on one core, and *at most* is how much faster a step without any other '
        f'cost would be.{" " * bool(result["company"])}{result["company"]}\n\n'
        + table(
            ['model', 'features', 'windows', 'plain form', 'plain', 'ours', 'products', 'times faster', 'at most'],
            beside,
        )
        + '\nThe memory fusion network, with its recurrences in blocks of frames that step together, or, on request, '
        'one frame after another:\n\n'
        + table(['features', 'windows', 'one after another', 'in blocks'], once)
        + translation
        + '\nOperators that a step on a processor calls, with one window; on an accelerator each costs several '
        'microseconds whatever it works on (not timed there):\n\n'
        + table(['model', 'form', 'calls'], calls)
        + '\nModels that have no published loop:\n\n'
        + table(['model', 'features', 'windows', 'ours'], others)
    )


def precision_effect(result: dict[str, Any] | None) -> str:
    """What products in half the bits do to the score."""
    if result is None:
        return ''
    rows = [
        [part, *(f'{result[part][name]:.4f}' for name in ('float32', 'bfloat16', 'difference', 'low', 'high'))]
        for part in ('validation', 'test')
    ]
    return (
        f'\nWeighted F1 of attention on the features of CMU-MOSI, {result["seeds"]} seeds, with its difference and '
        'the 95 % interval of that over seeds; text and video were learned on the training part, which is why '
        'validation is so high:\n\n' + table(['part', 'float32', 'bfloat16', 'difference', 'from', 'to'], rows)
    )


def fusion_collapse(result: dict[str, Any]) -> str:
    rows = [
        [
            run['model'],
            run['form'],
            f'{run["scale"]:g}',
            f'{run["rate"]:g}',
            'off' if run['options'] else 'on',
            run['seed'],
            run['status'],
            '-' if run['validation'] is None else run['validation'],
            run['test'],
        ]
        for run in result['runs']
    ]
    head = ['model', 'form', 'scale', 'rate', 'losses', 'seed', 'status', 'validation', 'test']
    return (
        f'## Fusion models that collapse\n\n`measurements/fusion_collapse.py`: CMU-MOSI from hashed words alone, '
        f'{result["epochs"]} epochs, weighted F1 of the sign; one constant answer scores 0.2507 on test. Such runs '
        'cannot be reported: `Trained.healthy()` raises.\n\n' + table(head, rows)
    )


def fusion_weights(result: dict[str, Any]) -> str:
    subsets = ('face', 'voice', 'words', 'face+voice', 'face+words', 'voice+words', 'face+voice+words')
    rows = [
        [name.replace(' x ', ', '), f'{part["majority_uar"]:.2f}', *(f'{part[each]["uar"]:.2f}' for each in subsets)]
        for name, part in result['left_out'].items()
    ]
    rows.append(['mean, exponents as shipped', '', *(f'{result["with_shipped"][each]:.2f}' for each in subsets)])
    spoken, shipped = result['ravdess_with_its_own_sentences'], result['shipped']
    sure = [[f'{row["sure"]:.2f}', f'{row["right"]:.2f}', row['n']] for row in result['reliability_with_shipped']]
    exponents = ', '.join(f'{source} {shipped[source]:g}' for source in ('face', 'voice', 'words'))
    return (
        '## Face, voice and words together\n\n`measurements/fusion_weights.py`: balanced accuracy (1 divided by the '
        'number of categories for a guess) of sources alone and fused. **Pairs and triples are synthetic**: a voice, a '
        'face and a text with the same label, put together by chance. Given the label they are independent, as those '
        'of one person are not, so gains are overstated. Each source is read on a corpus that its model did not learn '
        'from (of FER2013 and GoEmotions: on the test part, which it did not see), and in each row the exponents were '
        'fitted on the other voice and '
        'the other text corpus.\n\n'
        + table(['voice, face, words', 'guess', *subsets], rows)
        + f'\nExponents as shipped: {exponents}. Accuracy of the most probable category with them, over all rows '
        'and columns:\n\n'
        + table(['stated', 'right', 'readings'], sure)
        + '\nReal and without synthetic pairs: RAVDESS with the two plain sentences that its actors speak. '
        f'The voice alone reaches {spoken["voice"]["uar"]:.3f}, with the words {spoken["voice+words"]["uar"]:.3f}; '
        f'{100 * spoken["share_whose_name_changed"]:.0f} % of {spoken["clips"]:,} clips change their category.\n'
    )


RELATIONS = {
    'unseen': 'no model was trained on it',
    'unseen part': 'models were trained on other parts of it',
    'learnt from': 'the voice was trained on these speakers',
}
SOURCES = {'fused': 'fused', 'face': 'face', 'voice': 'voice', 'words': 'words', 'majority': 'always the most frequent'}


def carried_over(result: dict[str, Any]) -> str:
    rows = []
    for name, facts in result['sets'].items():
        for source, label in SOURCES.items():
            score = facts['scores']['categories'].get(source)
            if score is None or not score['spoken']:
                continue
            cells = [name, RELATIONS[facts['relation']], label, score['clips'], *_shares(score['scores'], source)]
            aucs = [facts['scores']['dimensions'][axis].get(source) for axis in ('valence', 'arousal')]
            rows.append([*cells, _percent_or_dash(score['calibration_error']), *map(_area, aucs)])
    text = (
        '## Generalisation of the models\n\n`measurements/carried_over.py`, through the code of '
        '`affekt bench analyze` ([what the columns are](own_data.md)). In %, with 95 % intervals over speakers, or '
        'over clips if none is known. *Of all*: silence counts as wrong. AUC: of clips high on valence or arousal, by '
        'their categories, against low ones. A set that the voice was trained on is no evidence for new speakers.\n\n'
    )
    heads = ['set', 'to the models', 'source', 'clips', 'speaks', 'right where it speaks', 'says', 'UAR', 'of all']
    text += table([*heads, 'ECE', 'AUC, valence', 'AUC, arousal'], rows)
    for name, facts in result['sets'].items():
        text += f'\n**{name}.** ' + ' '.join(facts['conclusions']) + '\n'
    return text + _voices_left_out(result['voices_on_left_out_corpora'])


def _voices_left_out(cards: dict[str, Any]) -> str:
    """What the voices' cards say of corpora that were left out, over all of their clips."""
    shares = ('share_named', 'accuracy_where_named', 'confidence_where_named', 'ece')
    rows: list[list[object]] = []
    for name, card in cards.items():
        for corpus, row in card.get('left_out_corpus', {}).items():
            value, low, high = (100 * row['uar'][key] for key in ('value', 'low', 'high'))
            uar = f'{value:.1f} [{low:.1f}, {high:.1f}]'
            cells = [f'{100 * row[key]:.1f}' for key in shares]
            rows.append([name, corpus, row['learned_from'], row['clips'], uar, *cells])
    if not rows:
        return ''
    heads = [
        'voice',
        'read on',
        'learned from',
        'clips',
        'UAR, never silent',
        'speaks',
        'right where it speaks',
        'says',
    ]
    return (
        '\nThe voices on a corpus that was left out, as their cards have it (`recipes/vocal_emotion/train.py`), all '
        'clips, in %:\n\n' + table([*heads, 'ECE'], rows)
    )


def _shares(scores: dict[str, Any], source: str) -> list[str]:
    right = scores['right']
    ends = '' if right['low'] is None else f' [{100 * right["low"]:.1f}, {100 * right["high"]:.1f}]'
    says = '–' if source == 'majority' else _percent_or_dash(scores['says']['value'])
    return [
        _percent_or_dash(scores['speaks']['value']), f'{100 * right["value"]:.1f}{ends}', says,
        _percent_or_dash(scores['uar']['value']), _percent_or_dash(scores['right_of_all']['value']),
    ]  # fmt: skip


def _percent_or_dash(share: float | None) -> str:
    return '–' if share is None else f'{100 * share:.1f}'


def _area(score: dict[str, Any] | None) -> str:
    area = (score or {'scores': {}})['scores'].get('auc')
    return '–' if area is None or area['value'] is None else f'{area["value"]:.2f}'


MARKS = ('<!-- example -->', '<!-- end of example -->')


def with_example(text: str, results: Path) -> str:
    """The page on own data with its example, the first set of the result file, between two marks."""
    path = results / 'carried_over.json'
    if not path.exists():
        return text
    facts = json.loads(path.read_text())['sets']['ravdess']
    before, _, rest = text.partition(MARKS[0])
    body = facts['markdown'].replace('## ', '#### ').replace('# affekt on', '### affekt on', 1)
    head = ' --vocal-head without_ravdess' if facts['relation'] == 'unseen' else ''
    said = (
        '`affekt bench analyze --manifest ravdess_speech/metadata.csv --limit '
        f'{facts["clips"]} --seed 12{head}` on acted English speech that {_learnt(facts["relation"])}:'
    )
    return f'{before}{MARKS[0]}\n{said}\n\n{body.strip()}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}'


def _learnt(relation: str) -> str:
    return 'the voice was trained on' if relation == 'learnt from' else 'no model here was trained on'


def readings(result: dict[str, Any]) -> str:
    known, peers = result['known'], result['peers']
    passes = ('two passes', 'one pass')
    share, least = 'frames within 2 %, mean over pitches', 'median harmonicity, lowest over pitches, dB'
    sounds = [
        [row['source'], *(f'{row[name][share]:.0%}' for name in passes), row[passes[0]][least]]
        for row in known['pitch']
    ]
    speech = [
        [
            who,
            *(f'{row[name]["within 3 %"]:.1%}' for name in passes),
            *(f'{row[name]["an octave low"]:.1%}' for name in passes),
            row['harmonicity']['r'],
            row['harmonicity']['mean difference, dB'],
        ]
        for who, row in peers['pitch and harmonicity beside Praat'].items()
    ]
    versions = ', '.join(f'{name} {number}' for name, number in peers['versions'].items())
    loudness = max(abs(row['error_db']) for row in known['loudness'])
    noise = max(abs(row['error_db']) for row in known['harmonicity'])
    demand = peers['loudness less that of pyloudnorm, dB']
    smile = ', '.join(f'{name} {row["r"]:.2f}' for name, row in peers['beside eGeMAPSv02'].items())
    return (
        '## Voice readings compared with known sounds and with peers\n\n'
        'Sounds of 100 to 1000 Hz; *one pass* stops at 500 Hz.\n\n'
        + table(['source', 'right, two passes', 'one pass', 'least harmonicity, dB'], sounds)
        + f'\nHarmonicity of vowels in noise of known power is off by {noise:.2f} dB at most, loudness of sines by '
        f'{loudness:.3f} dB. `measurements/readings.py`, {peers["clips"]} clips of RAVDESS compared with {versions}; '
        'pitch and harmonicity of the frames that both call voiced:\n\n'
        + table(
            ['who', 'pitch within 3 %', 'one pass', 'octave low', 'one pass', 'harmonicity r', 'mean difference, dB'],
            speech,
        )
        + f'\nLoudness minus that of pyloudnorm: {demand["DeMan"]["mean"]:.3f} dB with the filters of BS.1770 '
        f'({demand["K-weighting"]["mean"]:.3f} dB with its default ones, which are not quite those). Correlation with '
        f'eGeMAPSv02 over clips: {smile}.\n'
    )


def loud_voices(result: dict[str, Any]) -> str:
    rows = [[name, *counts.values()] for group in result.values() for name, counts in group.items()]
    head = ['strong anger and fear; then sounds without a voice', 'recordings', 'turn, detector alone', 'turn']
    return '## Shouts\n\n`measurements/loud_voices.py`: recordings that have a turn.\n\n' + table(
        [*head, 'loud voice', 'minutes'], rows
    )


def arousal(result: dict[str, Any]) -> str:
    scores = result['high against low (AUC), norms of the other corpus']
    earlier = result.get('high against low (AUC), earlier formula', {})  # needs a file that an earlier affekt wrote
    error = result['error against the circumplex, norms of the other corpus']
    rows = [
        [
            name,
            *(round(scores[name][part], 3) for part in ('arousal', 'women', 'men', 'loudness_lufs alone')),
            round(earlier[name]['arousal'], 3) if name in earlier else '–',
            round(scores[name]['liveliness, against all turns of the speaker'], 3),
            round(error[name]['root mean square'], 2),
            round(error[name]['of always 0'], 2),
        ]
        for name in scores
    ]
    return (
        '## Arousal of a voice\n\n`measurements/arousal.py`: played high (anger, fear, happiness, surprise) against '
        'low (sadness, neutral, calm), area under the curve, with the norms of the other corpus; error against the '
        'circumplex.\n\n'
        + table(
            ['corpus', 'arousal', 'women', 'men', 'loudness alone', 'before', 'liveliness', 'error', 'of always 0'],
            rows,
        )
    )


def rasteriser(result: dict[str, Any]) -> str:
    side = result['side']
    text = (
        '## Faces in three dimensions\n\n'
        f'`measurements/rasteriser.py`: depth, normals and shade at {side} x {side} from one raster, beside a plain '
        'rendering (a box of pixels a triangle) in the same run; CPU milliseconds of one thread.\n\n'
    )
    text += table(
        ['mesh', 'triangles', 'raster ms', 'three maps ms', 'maps per CPU second', 'plain raster ms', 'ratio', 'same'],
        [
            [
                name, mesh['triangles'], mesh['raster_ms'], mesh['three_maps_ms'], mesh['maps_per_cpu_s'],
                mesh['plain_raster_ms'], mesh['times_faster'], f'{100 * mesh["same_faces_as_plain"]:.2f} %',
            ]
            for name, mesh in result['meshes'].items()
        ],
    )  # fmt: skip
    text += '\nDiffering pixels are on edges, which the plain rendering decides by rounded numbers.\n'
    text += '\nClips of synthetic people, 16 frames each, a new person each:\n\n'
    text += table(
        ['size', 'clips per CPU second', 'frames per CPU second'],
        [[clip['size'], clip['clips_per_cpu_s'], clip['frames_per_cpu_s']] for clip in result['clips']],
    )
    if read := result.get('read_back'):
        off = ', '.join(f'{axis} {angle}' for axis, angle in read['pose_off_deg'].items())
        text += (
            f'\nThe landmarker finds {read["found"]:,} of {read["frames"]:,} faces of {read["people"]} people, the '
            f'head turned as commanded to {off} degrees on average. Its scores compared with the commanded curves:\n\n'
        )
        text += table(
            ['expression', 'correlation', 'slope'],
            [[name, value, read['slope'][name]] for name, value in read['correlation'].items()],
        )
    return text


def _peak(mb: float, base: float) -> str:
    return f'{mb:.0f} ({mb - base:.0f})'


def encoder_speed(result: dict[str, Any]) -> str:
    text = (
        '## Encoders that see and hear\n\n'
        '`measurements/encoder_speed.py`: CPU seconds per window on one thread, median of interleaved runs, compared '
        'with a plain form of the same network with the same weights (a softmax written out, dense; for SVFAP our own '
        'network with the softmax written out). Each is followed by its ratio to the plain one, the median over '
        'rounds. Peak memory is that of a process that runs four windows, and its excess over a process that only '
        'imports; the published programs were measured so on another machine, where Python and torch took 218 MB.\n\n'
    )
    rows = result['inference']
    names = {'ours': 'ours', 'bfloat16': 'bfloat16', 'onnx': 'ONNX', 'int8': 'ONNX, int8'}
    ways = {way: name for way, name in names.items() if any(way in row['ratio'] for row in rows.values())}
    head = [part for way in ways.values() for part in (way, 'ratio')]
    text += table(
        ['network', 'plain', *head, 'peak MB (net)', 'published'],
        [
            [
                name, row['cpu_s']['plain'],
                *[row[part].get(way, '–') for way in ways for part in ('cpu_s', 'ratio')],
                _peak(result['peak_mb'][name]['four_windows'], result['peak_mb']['nothing']['four_windows']),
                _peak(result['peak_mb'][name]['published'], 218),
            ]
            for name, row in rows.items()
        ],
    )  # fmt: skip
    if 'int8' in ways:
        bits = result.get('int8_weight_bits', 8)
        text += f'\nONNX, int8: weights of linear layers use {bits} bits, activations 8 that are scaled at run time' + (
            '; affekt has used 7 for weights since this was measured.\n' if bits == 8 else '.\n'
        )
    gaps = {name: row['largest_difference_of'] for name, row in rows.items() if 'largest_difference_of' in row}
    if gaps:
        text += '\nLargest difference to the plain features, over the largest of them:\n\n'
        text += table(
            ['network', *ways.values()],
            [[name, *[f'{of[way]:.0e}' if way in of else '–' for way in ways]] for name, of in gaps.items()],
        )
    if views := result['four_views']:
        seconds = views['cpu_s']
        text += (
            f'\nThe evaluation of {views["clip"]} ({views["frames"]} frames) from its file: {seconds["published"]} CPU '
            f'seconds with four views, each decoded, {seconds["ours"]} decoded once with the views that differ, '
            f'{views["times_faster"]} times as fast; answers differ by {views["largest_difference"]:.0e}.\n'
        )
    for processor, other in result.get('on_other_processors', {}).items():
        shares = ', '.join(f'{row["ratio"]["ours"]} in {name}' for name, row in other['inference'].items())
        text += f'\nOn another processor ({processor}) ours takes these shares of the plain seconds: {shares}'
        views = other['four_views']
        text += f'; the evaluation is {views["times_faster"]} times as fast.\n' if views else '.\n'
    return text


def encoder_precision(result: dict[str, Any]) -> str:
    model = result['model']
    epochs = '1 epoch' if model['epoch'] == 1 else f'{model["epoch"]:g} epochs'
    text = (
        '## Effect of lower precision\n\n'
        f'`measurements/encoder_precision.py`: the audio branch of HiCMAE (width {model["width"]}, {model["depth"]} '
        f'layers, {model["sha256"][:8]}) on {result["clips"]} clips of {result["actors"]} '
        'actors of RAVDESS; a linear probe, each actor left out in turn, eight emotions. Differences are shares of a '
        f"column's deviation. The processor has {', '.join(result['units']) or 'no units for 8 or 16 bits'}; "
        'bfloat16 is timed only with units for it. 8-bit weights use seven bits, so that no sum saturates. The network '
        f'was pre-trained for {epochs}; one that was trained for longer may change more, or less.\n\n'
    )
    text += table(
        ['run as', 'CPU ms a clip', 'MB', 'mean difference', 'largest', 'recall %', 'same answer %'],
        [
            [
                name, row['cpu_ms_per_clip'] or '–', row['megabytes'] or '–', row['difference_mean'],
                row['difference_largest'], row['uar'], row['same_answer'],
            ]
            for name, row in result['rows'].items()
        ],
    )  # fmt: skip
    return text


def _on_processors(processors: dict[str, str]) -> str:
    """Which parts were measured on which named processor."""
    return ''.join(f'; {part.replace("_", " ")} on {name}' for part, name in processors.items())


def live(result: dict[str, Any]) -> str:
    text = (
        '## A stream, while it happens\n\n'
        f'`measurements/live.py`: a face at 25 frames/s, 640x360, H.264, with read speech; faces and voice on; '
        f'{result["cores"]} cores. Delays run from the arrival of a packet to its finished reading; one row per round. '
        f'Parts were measured at different times{_on_processors(result.get("processors", {}))}.'
        f'{result.get("company", "")}\n\n'
    )
    rows = []
    piped, filed = 'a sender in another process, by a pipe', 'a file in real time'
    runs = [
        (f'{name}{crowd}', once[key])
        for part, crowd in (('latency', ''), ('latency_crowded', ', among the other work'))
        for once in result.get(part, ())
        for name, key in ((piped, 'pipe'), (filed, 'file'))
    ]
    for name, run in runs:
        heard_ms = run['speech_known_after_ms_p95']
        rows.append([name, *_delays(run), heard_ms, run['cpu_ms_a_frame'], run['load_average']])
    for once in result['overload']:
        for name, run in (('half the possible speed', once['half']), ('twice the possible speed', once['twice'])):
            rows.append(
                [
                    f'{name} ({once["possible_hz"]} frames/s), faces',
                    *_delays(run),
                    '–',
                    run['cpu_ms_a_frame'],
                    run['load_average'],
                ]
            )
    for run in result['slow']:
        name = f'a user who takes 200 ms a reading, faces (bound of p95: {run["bound_ms"]} ms)'
        rows.append([name, *_delays(run), '–', run['cpu_ms_a_frame'], run['load_average']])
    text += table(
        ['what', 'p50 ms', 'p95', 'p99', 'read', 'dropped', 'speech known after, p95 ms', 'CPU ms a frame', 'load'],
        rows,
    )
    if kept := result.get('memory'):
        minutes = kept['resident_mib_each_minute']
        text += (
            f'\nMemory over {kept["minutes"]} minutes of a stream (3 frames/s and all audio, faster than real '
            f'time; maximum of each minute): {minutes[3]} MiB after three minutes, {minutes[-1]} after all, never '
            f'further than {100 * kept["largest_departure_after_3_minutes"]:.1f} % from the median; '
            f'{kept["rows_on_disk_mib"]} MiB of rows on disk.\n'
        )
    faces, turns = result['agreement']['faces'], result['agreement']['turns']
    text += (
        f'\nWhere no frame is dropped, the rows of {result["agreement"]["frames"]} frames and '
        f'{turns["rows"][0]} turns are those of an analysis of the file: the largest difference of any number is '
        f'{faces["largest_difference"]["numbers"]:g} for faces, {turns["largest_difference"]["numbers"]:g} for turns '
        '(the tests allow 1e-5).\n'
    )
    smoothing, late = result['causality']['smoothing'], result['causality']['detections_late_by_frames']
    change, distance = smoothing['change_a_frame'], smoothing['rms_distance_from_centred']
    text += (
        f'\nThe cost of causality, on {result["causality"]["clips"]} clips: valence and arousal '
        f'change by {change["raw"]} from frame to frame as measured, by {change["causal"]} smoothed by the past '
        f'alone, by {change["centred"]} smoothed by both sides ({smoothing["centred"]}). Smoothing by the past lags by '
        f'{smoothing["lag_ms"]["causal"]} ms; its distance from that by both sides is {distance["causal"]} (root mean '
        f'square; without smoothing {distance["raw"]}). Faces found late are missing in the frames until then: '
        + ', '.join(f'{100 * row["missing"]:.1f} % of rows at {count} frames' for count, row in late.items())
        + ' (each clip begins with an unknown face).\n'
    )
    if kept := result.get('spoken'):
        rows = [
            [pause_s, row['readings'], row['with arousal'], row['with an emotion']]
            for pause_s, row in kept['by seconds of pause'].items()
        ]
        text += (
            f'\nReadings while somebody speaks, ten per second, of {" and ".join(kept["recordings"])}, by the '
            'pause after which a new turn begins (affekt uses that of the last row):\n\n'
        )
        text += table(['pause, s', 'readings', 'with arousal', 'with an emotion'], rows)
    return text


def _delays(run: dict[str, Any]) -> list[object]:
    """Delays, and how many frames were read and dropped."""
    return [*run['latency_ms'].values(), run['frames_read'], run['frames_dropped']]


def gguf_open(result: dict[str, Any]) -> str:
    """Seconds to open a language model from a GGUF file, and whether it is the same one."""
    rows: list[list[object]] = [
        ['first start, which makes the folder', f'{result["first_start_s"]:.1f}'],
        ['second start', f'{result["second_start_s"]:.1f}'],
    ]
    count = result['texts']
    of_llama_cpp = count - len(result['texts_with_other_tokens_in_llama_cpp'])
    compared = f'Tokens are those of llama.cpp in {of_llama_cpp} of {count} texts'
    if 'transformers_start_s' in result:  # not where its reading was left out
        rows.append(['transformers from the file itself, each start', f'{result["transformers_start_s"]:.1f}'])
        compared = (
            f'{result["tensors_equal_to_the_bit"]} of {result["tensors"]} tensors equal those that transformers reads, '
            f'to the bit. {compared}, those of transformers in {count - len(result["texts_with_other_tokens"])}: from '
            'a GGUF file it forgets that this model takes digits one by one'
        )
    return (
        f'## Opening a language model of a GGUF file\n\n{result["model"]}, {result["bytes"] / 1e6:.0f} MB. Processor '
        'seconds of a process that opens tokenizer and weights, imports included.\n\n'
        + table(['what', 'seconds'], rows)
        + f'\n{compared}.\n'
    )


def cached_step(voice: dict[str, Any]) -> str:
    """What keeps a cached step with a voice alone from being ten times as fast; '' where that was not measured."""
    if not (parts := voice.get('parts_of_a_cached_step')):
        return ''
    taken = voice['seconds_a_step']
    encoders = taken['made anew'] - taken['cached']
    passes = parts['language model forward'] + parts['language model back']
    wanted = encoders / 9
    conclusion = 'What remains is the step itself, which no cache shortens.'
    if least := parts.get('frozen weights alone'):
        conclusion = f'The products with its frozen weights alone, forward and back, take {least:.2f} s: ' + (
            'no way of computing that step reaches ten times.'
            if least > wanted
            else 'a step that did little else would reach it; the rest is adapters, attention, norms and gradients.'
        )
    return (
        f'\nWith a voice alone the encoders take {encoders:.2f} s of a step. A tenfold gain would need a cached step '
        f'of {wanted:.2f} s, and the language model alone takes {passes:.2f} s for its {parts["tokens"]:.0f} '
        f'tokens ({parts["language model forward"]:.2f} forward, {parts["language model back"]:.2f} back); prompts and '
        f'soft tokens take {parts["prompts and soft tokens"]:.3f} s, the optimiser {parts["optimiser"]:.3f} s. '
        f'{conclusion}\n'
    )


def ends_of_answers(answers: dict[str, Any]) -> str:
    """How many answers end early, and the figures where none may; empty where they were not measured."""
    if 'none_ends' not in answers:
        return ''
    early = sum(count < answers['tokens'] for count in answers['tokens_of_answers'])
    pace = answers['none_ends']['tokens_per_second']
    return (
        f'; {early} of the {answers["batch"]} answers end early, so that the last steps are taken with fewer clips. '
        f'Where none may end: {pace["alone"]} and {pace["together"]}, {answers["none_ends"]["ratio"]} times as many'
    )


def describer_speed(result: dict[str, Any]) -> str:
    """Answers of a describer one by one and several at a time."""
    pace, count = result['tokens_per_second'], result['batch']
    learnt = ''
    if training := result.get('training'):
        rows = [
            [name, part['seconds_a_step']['cached'], part['seconds_a_step']['made anew'], f'{part["ratio"]}x']
            for name, part in training.items() if name != 'batch'
        ]  # fmt: skip
        learnt = (
            f'\nA step of training of {training["batch"]} clips, processor seconds, with features cached and with the '
            'encoders run again for every clip (read speech of 10 s, and the demo video):\n\n'
            + table(['sources', 'cached', 'made anew', 'ratio'], rows)
            + cached_step(training['voice'])
        )
    for processor, training in result.get('training_on_other_processors', {}).items():
        parts = ', '.join(f'{part["ratio"]}x with {name}' for name, part in training.items() if name != 'batch')
        learnt += f'\nOn another processor ({processor}): {parts}.{cached_step(training["voice"])}'
    elsewhere = ''.join(
        f' On another processor ({processor}): {answers["tokens_per_second"]["alone"]} tokens a processor second one '
        f'by one, {answers["tokens_per_second"]["together"]} with {answers["batch"]} clips at a time, '
        f'{answers["ratio"]} times as many{ends_of_answers(answers)}.'
        for processor, answers in result.get('answers_on_other_processors', {}).items()
    )
    return (
        f'## Answers of a describer\n\n{result["trunk"]} with soft tokens of voice and face, {result["tokens"]} '
        f'tokens an answer, one thread: {pace["alone"]} tokens a processor second one by one, {pace["together"]} with '
        f'{count} clips at a time, {result["ratio"]} times as many (medians of {result["rounds"]} rounds); '
        f'{result["same_answers"]} of {count} answers are the same to the token.{elsewhere}\n{learnt}'
    )


SECTIONS = {
    'carried_over': carried_over,
    'fusion_weights': fusion_weights,
    'end_to_end': end_to_end,
    'live': live,
    'startup': startup,
    'faces_agreement': faces_agreement,
    'faces_limits': faces_limits,
    'faces_turned': faces_turned,
    'faces_gaze': faces_gaze,
    'faces_affect': faces_affect,
    'faces_quality': faces_quality,
    'faces_conditions': faces_conditions,
    'faces_views': faces_views,
    'faces_identity': faces_identity,
    'speakers': speakers,
    'readings': readings,
    'loud_voices': loud_voices,
    'arousal': arousal,
    'open_vocabulary_speed': open_vocabulary_speed,
    'feature_store': feature_store,
    'clip_cache': clip_cache,
    'pretraining_speed': pretraining_speed,
    'manifest_scale': manifest_scale,
    'frame_annotations': frame_annotations,
    'media_speed': media_speed,
    'media_fuzz': media_fuzz,
    'ranking_speed': ranking_speed,
    'ranking_coverage': ranking_coverage,
    'ranking_recovery': ranking_recovery,
    'annotate_kills': annotate_kills,
    'rasteriser': rasteriser,
    'encoder_speed': encoder_speed,
    'encoder_precision': encoder_precision,
    'run_kills': run_kills,
    'fusion_speed': fusion_speed,
    'fusion_collapse': fusion_collapse,
    'sequence_speed': sequence_speed,
    'gguf_open': gguf_open,
    'describer_speed': describer_speed,
}

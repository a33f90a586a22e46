"""Clips from the packed cache beside decoding them: CPU-seconds of the input of one epoch, as ratios of one run.

    python measurements/clip_cache.py [--data DIR] [--out FILE]

Twelve made-up videos as VoxCeleb2 is handed round (224 x 224, 25 pictures a second, 6 s, with sound) and the same as
folders of JPG files with a wav, which published code reads. Input of an epoch: a window of 16 frames, every fourth,
with its sound, of every clip. Three ways: decoded (the published crop), from the folder (only the 16 pictures of the
window are opened, as published code does), from the cache. Each is also timed up to the tensors that a model reads,
where torch is there. With `--data`, real clips are decoded with their faces found and aligned, which is what the cache
saves most. Opening the cache is part of its time.

All ways run in turn, CPU-seconds of this process on one thread, median of the rounds. `from_disk` is the wall time
after the system was told to forget the files, as for a cache that is larger than memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affekt.clips import Clip, ClipSettings, PackedClips, decoded, folder_clip
from affekt.corpora import Facts, Manifest, Sample
from affekt.media import write_audio, write_video
from affekt.media.synthetic import tone

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
CLIPS, SECONDS, RATE_HZ, SIDE, ROUNDS = 12, 6, 25, 224, 7
FRAMES, STRIDE = 16, 4


def pictures(rng: np.random.Generator) -> list[np.ndarray]:
    """A soft random picture that drifts, so that an encoder has as much to do as with a face."""
    small = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    large = np.asarray(small.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))
    return [np.ascontiguousarray(large[at : at + SIDE, at : at + SIDE]) for at in range(SECONDS * RATE_HZ)]


def make(folder: Path) -> Manifest:
    """The videos, and beside each the same as a folder and a wav."""
    rows = []
    for number in range(CLIPS):
        rng = np.random.default_rng(number)
        images = pictures(rng)
        sound = tone(SECONDS, 200 + 10 * number) + rng.normal(0, 0.01, SECONDS * 16_000).astype(np.float32)
        write_video(folder / f'{number}.mp4', images, RATE_HZ, sound)
        write_audio(folder / f'{number}.wav', sound, 16_000)
        (folder / str(number)).mkdir()
        for at, image in enumerate(images):
            Image.fromarray(image).save(folder / str(number) / f'{at:05d}.jpg', quality=95)
        rows.append(Sample(str(number), video=f'{number}.mp4'))
    return Manifest(Facts('made up', root=str(folder)), rows)


def window(clip: Clip, number: int) -> Clip:
    """16 frames, every fourth, from a start that differs from clip to clip, and their sound; all of it in memory."""
    start = 7 * number % (len(clip.frames) - STRIDE * FRAMES)
    at = start + STRIDE * np.arange(FRAMES)
    first, last = (round(16_000 * at[each] / RATE_HZ) for each in (0, -1))
    return Clip(clip.name, clip.frames[at], None, clip.sound[first:last].copy())


def from_folder(folder: Path, number: int, count: int) -> Clip:
    """As published code reads a clip: the 16 pictures of the window alone, and the whole wav."""
    start = 7 * number % (count - STRIDE * FRAMES)
    at = start + STRIDE * np.arange(FRAMES)
    names = sorted(os.listdir(folder / str(number)))
    images = [Image.open(folder / str(number) / names[index]).convert('RGB').resize((160, 160)) for index in at]
    sound = decoded(folder / f'{number}.wav').sound
    first, last = (round(16_000 * at[each] / RATE_HZ) for each in (0, -1))
    return Clip(str(number), np.stack([np.asarray(image) for image in images]), None, sound[first:last].copy())


def tensors(clips: Sequence[Clip]) -> Any:
    """What a model reads of a batch."""
    from affekt.pretraining import collate

    return collate(clips)


def cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def forget(folder: Path) -> None:
    """Tell the system that the cache's files are no longer needed in memory."""
    for path in folder.iterdir():
        with path.open('rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_disk(folder: Path) -> float:
    forget(folder)
    begun = time.perf_counter()
    clips = PackedClips.open(folder)
    for number, clip in enumerate(clips):
        window(clip, number)
    return time.perf_counter() - begun


def made_up() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make(folder)
        settings = ClipSettings(crop='published')
        size = PackedClips.estimate(manifest, settings)
        packing_s = cpu_s(lambda: PackedClips.write(folder / 'cache', manifest, settings))
        clips = PackedClips.open(folder / 'cache', manifest)
        paths = [folder / f'{number}.mp4' for number in range(CLIPS)]
        has_torch = _has_torch()
        ways: dict[str, Callable[[], object]] = {
            'decoded': lambda: [window(decoded(path, crop='published'), at) for at, path in enumerate(paths)],
            'folder': lambda: [from_folder(folder, at, SECONDS * RATE_HZ) for at in range(CLIPS)],
            'whole_folder': lambda: [
                window(folder_clip(folder / str(at), audio=folder / f'{at}.wav'), at) for at in range(CLIPS)
            ],
            'cache': lambda: [window(clip, at) for at, clip in enumerate(PackedClips.open(folder / 'cache'))],
        }
        taken: dict[str, list[float]] = {}
        if has_torch:
            for way in ('decoded', 'folder', 'cache'):
                ways[f'{way}_to_tensors'] = lambda read=ways[way]: tensors(read())
        for number in range(ROUNDS):
            order = list(ways) if number % 2 else list(ways)[::-1]
            for way in order:
                taken.setdefault(way, []).append(cpu_s(ways[way]))
        size_mb = clips.bytes / 1e6
        del clips  # what is mapped is not forgotten
        disk_s = statistics.median(from_disk(folder / 'cache') for _ in range(ROUNDS))
        each = {f'{way}_ms': 1e3 * statistics.median(values) / CLIPS for way, values in taken.items()}
        ratios = {f'{way}_times_cache': each[f'{way}_ms'] / each['cache_ms'] for way in ('decoded', 'folder')}
        if has_torch:
            ratios['decoded_to_tensors_times_cache'] = each['decoded_to_tensors_ms'] / each['cache_to_tensors_ms']
        return {
            'clips': CLIPS,
            'seconds': SECONDS,
            'estimated_mb': size.bytes / 1e6,
            'cache_mb': size_mb,
            'packing_ms': 1e3 * packing_s / CLIPS,
            **each,
            'from_disk_wall_ms': 1e3 * disk_s / CLIPS,
            **ratios,
        }


def _has_torch() -> bool:
    try:
        import torch
    except ImportError:
        return False
    torch.set_num_threads(1)
    return True


def with_faces(data: Path) -> dict[str, float]:
    """Real clips, faces found and aligned: the first epoch beside the others."""
    rows = [Sample(path.stem, video=path.name) for path in sorted((data / 'clips').glob('grid_*.mpg'))]
    manifest = Manifest(Facts('grid', root=str(data / 'clips')), rows)
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / 'cache'
        first_s = cpu_s(lambda: PackedClips.write(cache, manifest))
        clips = PackedClips.open(cache, manifest)
        later_s = statistics.median(
            cpu_s(lambda: [window(clip, at) for at, clip in enumerate(clips)]) for _ in range(ROUNDS)
        )
        return {
            'clips': len(clips),
            'frames': int(clips.frame_counts.sum()),
            'first_epoch_ms': 1e3 * first_s / len(clips),
            'later_epoch_ms': 1e3 * later_s / len(clips),
            'first_times_later': first_s / later_s,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA if DATA.is_dir() else None)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'clip_cache.json')
    options = parser.parse_args()
    result = {'made_up': made_up()}
    if options.data is not None:
        result['faces'] = with_faces(options.data)
    rounded = {part: {name: float(f'{value:.4g}') for name, value in row.items()} for part, row in result.items()}
    text = json.dumps(rounded, indent=1)
    options.out.write_text(text + '\n')
    sys.stdout.write(text + '\n')


if __name__ == '__main__':
    main()

"""The memory that a run of captions takes, by the number of clips: all of them done, and the tables written anew.

    python measurements/caption_memory.py

A manifest and a journal of so many made-up captions (a description of 600 characters, clues of 500) are written; then a
process of its own goes on with that run, which has nothing left to do but to read the journal and to write the tables.
Its largest resident memory is what is measured, less that of a run of ten clips.

Writes results/caption_memory.json.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COUNTS = (10, 5_000, 20_000)
WORDS = ('the', 'voice', 'is', 'low', 'and', 'slow', 'while', 'brows', 'are', 'drawn', 'together', 'as', 'if', 'gaze')


def main() -> None:
    if len(sys.argv) == 3:
        resumed(Path(sys.argv[1]), int(sys.argv[2]))
        return
    peaks = {}
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                [sys.executable, __file__, folder, str(count)], capture_output=True, text=True, check=True
            )
            peaks[count] = json.loads(ran.stdout)
    least = peaks[COUNTS[0]]['peak_mib']
    made = {
        str(count): {**peak, 'mib_a_thousand_clips': round((peak['peak_mib'] - least) / count * 1000, 2)}
        for count, peak in peaks.items()
    }
    (HERE / 'results' / 'caption_memory.json').write_text(json.dumps(made, indent=1) + '\n', encoding='utf-8')
    print(json.dumps(made, indent=1))


def resumed(folder: Path, count: int) -> None:
    """Write a run of made-up captions, go on with it in a process of its own, and say the largest memory of that."""
    import os

    from affekt.captioning import Caption, CaptionSettings, Models, Place, Use, caption
    from affekt.captioning.running import _digest
    from affekt.corpora import Facts, Manifest, Sample

    rng = random.Random(0)

    def text(size: int) -> str:
        return ' '.join(rng.choices(WORDS, k=size // 5))[:size]

    rows = [Sample(f'clip{at:06d}', text=text(60)) for at in range(count)]
    manifest = Manifest(Facts('made up', root=str(folder)), rows)
    place = Place('http://127.0.0.1:9/v1', 'none')
    settings = CaptionSettings(Models(place, place, place))
    saved = {**settings.saved(), 'clips': _digest(rows), 'shard': [1, 1]}
    run = folder / 'out' / 'shard-1-of-1'
    run.mkdir(parents=True)
    (run / 'settings.json').write_text(json.dumps({'settings': saved, 'versions': {}}))
    use = {step: Use('model-1', 1, 900, 120, 0, 1.5) for step in ('audio', 'visual', 'merge')}
    with (run / 'journal.jsonl').open('w') as journal:
        for row in rows:
            made = Caption(
                row.sample, 'merged', text(600), ('sad', 'tired'), text(500), text(500), text(60), 'ok', 'ok', 'prose',
                {}, use, seconds=4.0,
            )  # fmt: skip
            journal.write(json.dumps({'key': row.sample, 'folder': '', 'files': {}, 'caption': made.to_dict()}) + '\n')
    process = os.fork()  # what this process holds for the writing is not counted twice: pages are shared until written
    if process == 0:
        begun = resource.getrusage(resource.RUSAGE_SELF)
        done = caption(manifest, settings, folder / 'out')
        usage = resource.getrusage(resource.RUSAGE_SELF)
        assert done.resumed == count, done
        cpu_s = usage.ru_utime + usage.ru_stime - begun.ru_utime - begun.ru_stime
        print(json.dumps({'peak_mib': round(usage.ru_maxrss / 1024, 1), 'cpu_s': round(cpu_s, 1)}), flush=True)
        os._exit(0)
    _, state = os.waitpid(process, 0)
    sys.exit(os.waitstatus_to_exitcode(state))


if __name__ == '__main__':
    main()

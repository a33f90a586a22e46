#!/usr/bin/env bash
# From clips to a benchmark and a leaderboard on one screen: import, extract, bench, rank, page. Needs affekt[torch].
#   examples/whole.sh [FOLDER]     about half a minute; the clips are made up, yours go in the same way
set -euo pipefail
out=${1:-whole-run}
mkdir -p "$out"

# Made-up clips: a tone a sample, high where somebody is happy, and what three describers wrote about them.
python - "$out" <<'PYTHON'
import csv, sys
from pathlib import Path
from affekt.corpora import made_up_corpus

out = Path(sys.argv[1])
rows = made_up_corpus(media=out / 'clips').samples
with open(out / 'clips' / 'samples.csv', 'w', newline='') as file:
    table = csv.writer(file)
    table.writerow(['sample', 'audio', 'text', 'category', 'speaker', 'dialogue', 'split'])
    table.writerows([r.sample, r.audio, r.text, r.category, r.speaker, r.dialogue, r.split] for r in rows)
for describer, words in {'short': '{}', 'plain': 'The speaker sounds {}.', 'long': 'A calm clip; by the voice, {}.'}.items():
    with open(out / f'{describer}.csv', 'w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['name', 'description'])
        table.writerows([r.sample, words.format(r.category)] for r in rows)
PYTHON

cd "$out"
affekt corpus import folder clips --out corpus.parquet
affekt corpus check corpus.parquet
affekt features extract corpus.parquet --recipe hash512 --out features         # words
affekt features extract corpus.parquet --recipe acoustics-utt --out features   # sound
affekt bench merbench --corpus corpus.parquet --features features/hash512,features/acoustics-utt \
    --trials 1 --seeds 2 --epochs 5 --resamples 200 --out bench   # merbench.html: every row beside a constant answer
affekt judge short.csv plain.csv long.csv --reference 'longer text' --out verdicts.csv
affekt rank verdicts.csv --prior 1 --html ranking.html

"""An example of every verb whose description shows none; a test parses each."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    'analyze': (
        'affekt analyze interview.mp4',
        'affekt analyze recordings/ --out study --resume',
        'affekt analyze talk.mkv --transcript talk.srt --asr none',
    ),
    'report': ('affekt report study',),
    'export': ('affekt export study --to eaf', 'affekt export study --to csv --out tables'),
    'demo': ('affekt demo', 'affekt demo --out first --silent'),
    'extract': (
        'affekt extract descriptions.csv --out labels.csv',
        'affekt extract descriptions.csv --out labels.csv --endpoint http://localhost:8000/v1 --model NAME',
    ),
    'corpus list': ('affekt corpus list',),
    'corpus check': ('affekt corpus check meld.parquet', 'affekt corpus check meld.parquet --accept dialogue'),
    'corpus folds': ('affekt corpus folds clips.parquet --out folds.parquet --count 5',),
    'corpus show': ('affekt corpus show meld.parquet --samples 10',),
    'features list': ('affekt features list --runs',),
    'features import': ('affekt features import clip-vit-large-UTT --out features --manifest meld.parquet',),
    'features check': ('affekt features check features/minilm-utt --manifest meld.parquet',),
    'track write': ('affekt track write mer2024-semi predictions.csv --out submission.csv',),
    'track check': ('affekt track check mer2024-semi submission.csv --candidates names.csv',),
    'track score': ('affekt track score mer2024-semi submission.csv --truth truth.csv',),
    'finetune': (
        'affekt finetune --from run --manifest m.parquet --label emotion --out tuned',
        'affekt finetune --from checkpoint.pth --manifest m.parquet --kind linear --validation 0.2 --out quick',
    ),
    'checkpoint inspect': ('affekt checkpoint inspect checkpoint-99.pth', 'affekt checkpoint inspect model.pt --all'),
    'checkpoint convert': (
        'affekt checkpoint convert checkpoint-99.pth --out hicmae.safetensors --licence MIT',
        'affekt checkpoint convert model.bin --out model.safetensors --dtype float16',
    ),
    'rank': ('affekt rank votes.csv --control length --html ranking.html',),
    'judge': (
        'affekt judge a.csv b.csv --endpoint http://localhost:8000/v1 --model NAME',
        'affekt judge a.csv b.csv --reference "longer text"',
    ),
    'annotate': ('affekt annotate pairs.csv --media clips', 'affekt annotate --out pairs-votes --export-only'),
    'prefer train': ('affekt prefer train judged.csv --out model --control length',),
    'prefer evaluate': ('affekt prefer evaluate model judged.csv',),
    'prefer predict': ('affekt prefer predict model candidates.csv --out submission.csv',),
    'prefer check': ('affekt prefer check submission.csv --candidates candidates.csv',),
    'prefer score': ('affekt prefer score submission.csv --truth truth.csv',),
    'doctor': ('affekt doctor --thorough',),
    'plugins': ('affekt plugins --json',),
    'weights list': ('affekt weights list',),
    'weights get': ('affekt weights get', 'affekt weights get whisper-base'),
    'weights verify': ('affekt weights verify',),
    'notice': ('affekt notice > notice.txt',),
}
"""Words of the verb to its examples."""

"""An option that nothing would read is refused by its name, before anything is read or asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from affekt.cli import main

CAPTION = ('caption', 'm.parquet', '--out', 'o', '--audio-model', 'http://h/v1', '--video-model', 'http://h/v1')
TRAIN = ('describe', 'train', '--manifest', 'm.parquet', '--features', 'f', '--out', 'o')
REENACT = ('reenact', 'a.jpg', 'b.mp4', '-o', 'c.mp4', '--portrayed', 'nobody')
BOARD = ('bench', 'describers', 'a=a.csv', 'b=b.csv')
FINETUNE = ('finetune', '--from', 'f', '--manifest', 'm', '--out', 'o')
PRETRAIN = ('pretrain', 'svfap', '--manifest', 'm', '--out', 'o')
DFER = ('bench', 'dfer', '--corpus', 'm.parquet')
ASK = ('judge', 'a.csv', 'b.csv', '--endpoint', 'http://h/v1', '--model', 'm')
CORRUPT = ('corrupt', 'm.parquet', '--out', 'o')
JUDGE = ('--judge', 'http://h/v1', '--judge-model', 'm')


@pytest.mark.parametrize(
    ('words', 'refused'),
    [
        ((*CAPTION, '--merge-model', 'm.gguf', '--workers', '3'), '--workers goes with --on ray'),
        (('caption', 'filter', 'c', '--out', 'o', '--tables', '2025'), '--tables goes with --votes'),
        (('caption', 'filter', 'c', '--out', 'o', '--threshold', '1', '--keep-unknown'), '--threshold and --keep'),
        ((*TRAIN, '--stage', 'coarse', '--beta', '0.2'), '--beta goes with --stage prefer'),
        ((*TRAIN, '--stage', 'prefer', '--withheld', '0.2'), '--withheld goes with --stage single, coarse or fine'),
        ((*TRAIN, '--stage', 'fine', '--draws', '4', '--gain-of', 'voice'), '--draws and --gain-of go with'),
        ((*TRAIN, '--init', 'i', '--stage', 'fine', '--rank', '4'), '--rank goes with a new describer'),
        ((*TRAIN, '--column', 'x'), '--column goes with --descriptions'),
        (('bench', 'unibench', '--predictions', 'p', '--labels', 'l', '--device', 'cuda'), '--device goes with'),
        (('bench', 'unibench', '--model', 'a=http://h/v1', '--labels', 'l', '--trunk', 't'), '--trunk goes with'),
        ((*BOARD, '--judge-sees'), '--judge-sees goes with --judge'),
        ((*BOARD, '--tokens', '5'), '--tokens goes with a model on a server'),
        ((*BOARD, '--reader', 'http://h/v1', '--reader-model', 'm', '--frames', '3'), '--frames goes with a model on'),
        ((*BOARD, *JUDGE, '--no-probe'), '--no-probe goes with a model on'),
        ((*BOARD, *JUDGE, '--judge-sees', '--no-probe', '--frames', '3'), 'give their folder as --media'),
        ((*BOARD, '--set-media', 'x'), '--set-media goes with --labels'),
        (('extract', 't.csv', '--out', 'o.csv', '--at-once', '2'), '--at-once goes with --endpoint'),
        (('judge', 'a.csv', 'b.csv', '--reference', 'longer text', '--frames', '2'), '--frames goes with a model'),
        ((*ASK, '--judge-model', 'n'), '--judge-model goes with --strategy s3 or s4'),
        ((*ASK, '--frames', '2', '--probe'), '--probe and --frames go with --media'),
        (('judge', 'a.csv', 'b.csv', '--local', 'm', '--server', 'vllm'), '--server goes with --endpoint'),
        (('annotate', 'a.csv', '--check', '--floor', '5', '--seed', '4'), '--floor and --seed go with pairs'),
        (('annotate', '--out', 'o', '--export-only', '--port', '80'), '--port goes with a page'),
        ((*CORRUPT, '--blur', '1', '--noise', 'pink', '--flac'), '--noise and --flac go with --snr or --as'),
        ((*CORRUPT, '--blur', '1', '--power', 'active'), '--power goes with --snr or --as'),
        ((*CORRUPT, '--snr', '5', '--noise', 'pink', '--talkers', '2'), '--talkers goes with --noise babble'),
        (('doctor', '--server', 'vllm'), '--server goes with --endpoint'),
        ((*REENACT, '--device', 'cuda'), "'--device' belongs to --engine diffusion"),
        (('bench', 'reenact', '--pairs', 'a.csv', '--steps', '5'), "'--steps' belongs to --engine diffusion"),
        (('reenact', 'a.jpg', '--emotion', 'all', '-o', 'c', '--refine', 'r'), '--refine does not apply to a set'),
        (('bench', 'merbench', '--corpus', 'c', '--features', 'f', '--resume'), '--resume goes with --out'),
        (('bench', 'merbench', '--corpus', 'mosi', '--features', 'f'), 'name its folder with --release'),
        ((*FINETUNE, '--rank', '4'), '--rank goes with --kind lora'),
        ((*FINETUNE, '--kind', 'linear', '--layer-decay', '0.5', '--epochs', '3'), '--epochs and --layer-decay go'),
        ((*FINETUNE, '--kind', 'linear', '--no-augmentation'), '--no-augmentation goes with --kind full or lora'),
        ((*FINETUNE, '--last', '--patience', '3'), '--patience goes with the best epoch'),
        ((*FINETUNE, '--reference', '--balanced'), "--balanced goes with affekt's own training"),
        ((*PRETRAIN, '--no-cache', '--cache', 'c'), '--cache goes with a'),
        ((*PRETRAIN, '--gather-contrast'), '--gather-contrast goes with HiCMAE of both modalities'),
        ((*DFER, '--from', 'f', '--kind', 'linear', '--workers', '2'), '--workers goes with --kind full or lora'),
        ((*DFER, '--from', 'f', '--protocol', 'reference', '--patience', '2'), '--patience goes with --protocol fair'),
        ((*DFER, '--protocol', 'both', '--kind', 'lora'), '--protocol and --kind go with --from or --scratch'),
        (('bench', 'abaw', '--corpus', 'c', '--features', 'f', '--resume'), '--resume goes with --out'),
    ],
)  # fmt: skip
def test_an_option_that_nothing_reads_is_refused_by_name(words, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a.csv', 'b.csv'):
        (tmp_path / name).write_text('name,description\nx,So.\n')
    ran = CliRunner().invoke(main, words)
    assert (ran.exit_code, refused in ' '.join(ran.output.split())) == (2, True), ran.output


@pytest.mark.parametrize(
    ('words', 'note'),
    [
        (
            ('features', 'extract', 'm', '--recipe', 'hash512', '--recipe', 'mfcc-utt', '--out', 'o'),
            '--recipe was given 2 times',
        ),
        (('describe', 'x.mp4', '--asr', 'none', '--asr=base', '--asr', 'none'), '--asr was given 3 times'),
        ((*TRAIN, '--seed', '1', '--seed', '1'), '--seed was given 2 times'),
        (('corpus', 'check', 'm.parquet', '--root', 'a', '--root', 'b'), '--root was given 2 times'),
    ],
)
def test_a_value_that_another_replaces_is_noted_by_name(words, note, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, words)
    assert f'{note}, but takes one value: the last is used' in ' '.join(ran.stderr.split())


def test_what_may_be_repeated_still_may():
    for words in ((*TRAIN, '--features', 'g', '--json', '--json'), (*TRAIN, '--seed', '1', '--seed', '2', '--help')):
        assert 'times' not in CliRunner().invoke(main, words).output

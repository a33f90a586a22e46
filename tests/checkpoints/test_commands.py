"""`affekt checkpoint inspect` and `convert` on a terminal of eighty columns."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from published_files import published_shapes, save_published, stood_for
from safetensors.torch import save_file

from affekt.cli import main
from affekt.cli.pretraining import MOST_GROUPS


def _said(*words: object) -> str:
    result = CliRunner().invoke(main, ['checkpoint', *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_inspect_says_family_size_epoch_settings_and_what_goes_where(tmp_path, shared_data):
    shapes = published_shapes(shared_data, 'svfap_small_pretrain')
    shown = _said('inspect', save_published(tmp_path / 'c.pth', stood_for(shapes), wrapper='module.'))
    assert shown.startswith('c.pth: SVFAP small, pretrain\n')
    assert max(map(len, shown.splitlines())) <= 80
    rows = {line.split('  ')[0].strip(): line for line in shown.splitlines()}
    assert "model under 'model', prefix 'module.' taken off" in rows['written as']
    assert rows['epoch'].split()[1] == '99'
    assert rows['setting lr'].split()[2] == '0.00015'
    assert '31,825,360 in 320 tensors, float32' in rows['parameters']
    assert rows['encoder.norm'].rstrip().endswith('left out')
    assert 'a whole state, which fills SvfapPretraining: 320 of 320 tensors have their place' in shown
    assert 'fine-tuning keeps 260 of 320; new there: fc_norm.weight' in shown


@pytest.mark.usefixtures('same_process')
def test_inspect_as_json_lists_every_tensor(tmp_path, shared_data):
    shapes = published_shapes(shared_data, 'hicmae_tiny_finetune')
    answer = json.loads(_said('inspect', save_published(tmp_path / 'c.pth', stood_for(shapes)), '--json'))
    assert (answer['family'], answer['size'], answer['form'], answer['epoch']) == ('hicmae', 'tiny', 'finetune', 99)
    assert answer['sizes']['outputs'] == 6
    assert [row['name'] for row in answer['coverage']] == list(shapes)
    assert {row['fate'] for row in answer['coverage']} == {'loads'}
    assert answer['missing'] == answer['faults'] == []


@pytest.mark.usefixtures('same_process')
def test_inspect_names_what_is_missing_foreign_and_of_another_shape(tmp_path, shared_data):
    shapes = published_shapes(shared_data, 'hicmae_tiny_pretrain')
    del shapes['encoder_fusion.norm.bias']
    shapes |= {'encoder.pos_embed': (1, 800, 256), 'extra.weight': (3,), 'encoder.norm.bias': (7,)}
    shown = _said('inspect', save_published(tmp_path / 'c.pth', stood_for(shapes)))
    faults = ' '.join(shown.split('not whole: ')[1].split())
    assert faults.startswith(
        "1 tensor missing ('encoder_fusion.norm.bias'); 1 of another shape ('encoder.norm.bias'); "
        "1 unknown ('extra.weight'); 1 table of positions ('encoder.pos_embed')"
    )


@pytest.mark.usefixtures('same_process')
def test_inspect_lists_every_tensor_with_all(tmp_path):
    torch.save({'layer.weight': torch.ones(3, 4), 'layer.bias': torch.ones(3)}, tmp_path / 'mine.pt')
    shown = _said('inspect', tmp_path / 'mine.pt', '--all')
    assert 'mine.pt: of no known family' in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [['layer.weight', '3×4'], ['layer.bias', '3']]


@pytest.mark.usefixtures('same_process')
def test_convert_writes_file_and_card_and_asks_for_the_licence(tmp_path):
    source = save_published(tmp_path / 'c.pth', {'layer.weight': torch.ones(3, 4)})
    out = tmp_path / 'c.safetensors'
    result = CliRunner().invoke(main, ['checkpoint', 'convert', str(source), '--out', str(out)])
    assert result.exit_code == 0
    assert 'c.safetensors: 1 tensor, ' in result.stdout
    assert 'the licence is not stated' in result.stderr
    assert 'of no known family: written as it is' in result.stderr
    again = CliRunner().invoke(main, ['checkpoint', 'convert', str(source), '--out', str(out)])
    assert (again.exit_code, 'which exists' in again.stderr) == (2, True)


def test_a_damaged_file_is_one_sentence_and_exit_code_2(tmp_path):
    (tmp_path / 'c.pth').write_bytes(b'PK\x03\x04 and nothing more')
    result = CliRunner().invoke(main, ['checkpoint', 'inspect', str(tmp_path / 'c.pth')])
    assert result.exit_code == 2
    assert 'error: expected a checkpoint of tensors and plain values' in result.stderr
    assert 'Traceback' not in result.output


@pytest.mark.usefixtures('same_process')
def test_inspect_shows_the_first_of_very_many_groups(tmp_path):
    path = tmp_path / 'many.safetensors'
    save_file({f't{number:03}': torch.ones(1) for number in range(MOST_GROUPS + 1)}, path)
    shown = _said('inspect', path).splitlines()
    assert shown[-1] == f'and {MOST_GROUPS // 2 + 1} more, shown with --all'
    assert shown[-2].startswith(f't{MOST_GROUPS // 2 - 1} ')


@pytest.mark.usefixtures('same_process')
def test_a_number_of_any_length_in_the_name_of_a_tensor_is_shown(tmp_path):
    save_file({f'blocks.{"9" * 5000}.weight': torch.ones(1)}, tmp_path / 'a.safetensors')
    assert 'blocks' in _said('inspect', tmp_path / 'a.safetensors')

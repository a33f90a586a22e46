"""The list of recipes: complete, without doubles, and right about what runs here."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import AffektError
from affekt.features import RECIPES, encoder_names, listed_recipes, recipe_named
from affekt.features.catalogue import STATES
from affekt.features.clip_recipes import CLIP_RECIPES
from affekt.features.onnx_recipes import exported_names
from affekt.features.smile_recipes import smile_names


def test_every_recipe_is_listed_once():
    names = [name for row in listed_recipes() for name in row.names]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert set(names) == {*RECIPES, *encoder_names(), *CLIP_RECIPES, *exported_names(), *smile_names()}
    assert {row.runs for row in listed_recipes()} <= set(STATES)


def test_what_runs_can_be_asked_for_and_what_wants_a_file_says_so():
    for row in listed_recipes():
        if row.kind == 'transformers' or (row.kind, row.runs) == ('own', 'no'):
            continue
        if row.runs == 'yes':
            assert recipe_named(row.names[0]).dimension == row.dimension
        else:
            with pytest.raises(AffektError, match=r'--model|pip install|weights'):
                recipe_named(row.names[0])


def test_the_command_lists_all_or_what_runs():
    told = json.loads(CliRunner().invoke(main, ['features', 'list', '--json']).stdout)
    assert told['manet-utt']['runs'] == 'give'
    assert told['hash512']['hash'] == RECIPES['hash512'].hash
    shown = CliRunner().invoke(main, ['features', 'list', '--runs']).stdout
    assert 'hash512' in shown
    assert 'manet' not in shown

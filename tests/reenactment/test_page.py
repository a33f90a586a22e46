"""The page on what moves a portrait says what the code does."""

from __future__ import annotations

from pathlib import Path

from affekt.reenactment import RECIPES, UNIT_DIRECTIONS

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'reenact_motion.md'


def test_the_recipes_and_units_of_the_page_are_those_of_the_code():
    text = PAGE.read_text()
    for name, recipe in RECIPES.items():
        units = ', '.join(f'{unit} {strength:g}' for unit, strength in recipe.units.items())
        timing = f'{recipe.onset_s:g} s, {recipe.offset_s:g} s'
        assert f'| {name} | {units} | {timing} | {recipe.source} |' in text, name
    for unit, directions in UNIT_DIRECTIONS.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f'| {unit} |'))
        for direction, amount in directions.items():
            stem = direction.removesuffix('Left').removesuffix('Right')
            assert f'{stem} {amount:g}' in line or f'{direction} {amount:g}' in line

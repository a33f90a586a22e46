"""Features of every sample of a corpus, extracted by named recipes and read by memory map.

The input is a `Manifest`; `extract` runs a recipe over it (in batches, processes and shards, resumable); the output is
a `Store`: memory-mapped Arrow files that record their recipe and the samples that they lack. `import_features` imports
the feature folders of benchmarks. `model_recipes.py` has the recipes of networks that `affekt.encoders` opens, as
published and corrected, `onnx_recipes.py` those of networks that the user exports; `catalogue.py` finds and lists all
recipes, `on_ray.py` runs them on many machines. Read `recipes.py` first, then `store.py`.
"""

from affekt.encoders import batch, legacy_batch, legacy_resampled, padded, pooled, resampled
from affekt.features.builtin_recipes import RECIPES, hashed_texts
from affekt.features.catalogue import ListedRecipe, listed_recipes, modality_of, recipe_named
from affekt.features.checks import StoreCheck, check_store, require_any_features, require_features
from affekt.features.extraction import Extraction, extract
from affekt.features.face_pictures import face_pictures
from affekt.features.face_readings import frame_rate_hz
from affekt.features.importing import Imported, import_features, import_official
from affekt.features.model_recipes import ListedEncoder, encoder_names, encoder_recipe, listed_encoders
from affekt.features.on_ray import counted_tries, quiet_ray, raise_failure, ray_data
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable, outcomes
from affekt.features.sample_encoders import audio_encoder, with_encoder
from affekt.features.store import Provenance, Store, write_features

__all__ = [
    'RECIPES',
    'Extraction',
    'Features',
    'Imported',
    'ListedEncoder',
    'ListedRecipe',
    'Provenance',
    'Recipe',
    'SampleEncoder',
    'Store',
    'StoreCheck',
    'Unable',
    'audio_encoder',
    'batch',
    'check_store',
    'counted_tries',
    'encoder_names',
    'encoder_recipe',
    'extract',
    'face_pictures',
    'frame_rate_hz',
    'hashed_texts',
    'import_features',
    'import_official',
    'legacy_batch',
    'legacy_resampled',
    'listed_encoders',
    'listed_recipes',
    'modality_of',
    'outcomes',
    'padded',
    'pooled',
    'quiet_ray',
    'raise_failure',
    'ray_data',
    'recipe_named',
    'require_any_features',
    'require_features',
    'resampled',
    'with_encoder',
    'write_features',
]

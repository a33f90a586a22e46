"""Describing many clips with models that others serve, and choosing which descriptions to keep (MER-Caption)."""

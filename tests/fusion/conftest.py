"""Tests of the fusion models need torch; without it they are skipped."""

from __future__ import annotations

import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

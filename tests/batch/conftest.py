"""The made-up observations of the tests of the analysis."""

from tests.analysis.conftest import observed

__all__ = ['observed']

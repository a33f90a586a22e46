"""How far long work is, told to whoever asked: a bar, a line each half minute, a page, or nobody."""

from __future__ import annotations

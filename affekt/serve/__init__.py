"""Who may ask a page of affekt, and how a connection ends: what every server of affekt is guarded by.

Requests come in; those from other sites, with unknown hosts or without an end are refused. Read `guard.py` first, then
`connections.py`.
"""

from typing import TYPE_CHECKING

from affekt.moved_names import moved
from affekt.serve.connections import PatientProtocol
from affekt.serve.guard import Guard, Tokens

if not TYPE_CHECKING:
    __getattr__ = moved(__name__)

__all__ = ['Guard', 'PatientProtocol', 'Tokens']

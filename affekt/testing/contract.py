"""Checks that all contracts share: one promise at a time, and the first broken one is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from affekt.errors import AffektError, ContractError

TODO = 'see what `affekt.testing` says of this check'


def require(kept: bool, promise: str, came: str, todo: str = TODO) -> None:
    """Check one promise of a contract.

    Raises:
        ContractError: it is broken.
    """
    if not kept:
        raise ContractError(expected=promise, came=came, todo=todo)


@contextmanager
def promised(promise: str) -> Iterator[None]:
    """Context in which nothing may be raised.

    Raises:
        ContractError: something was raised.
    """
    try:
        yield
    except ContractError:
        raise
    except Exception as error:  # third-party members may raise anything
        lines = str(error).strip().splitlines() or ['without a word']
        came = f'{type(error).__name__}: {lines[0][:300]}'
        raise ContractError(expected=promise, came=came, todo=TODO) from error


def refuses(promise: str, call: Any, *given: Any) -> None:
    """Check that a call raises one of affekt's own errors, which state what was expected, what came and what to do.

    Raises:
        ContractError: it returned, or raised another error.
    """
    try:
        call(*given)
    except AffektError:
        return
    except Exception as error:
        came = f'{type(error).__name__}: {error}'
        raise ContractError(
            expected=promise, came=came, todo='raise a subclass of affekt.errors.AffektError'
        ) from error
    raise ContractError(expected=promise, came='an answer', todo='raise a subclass of affekt.errors.AffektError')

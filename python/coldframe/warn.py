"""Warnings that never become errors of the program."""

from __future__ import annotations

import warnings


def warn(message: str, stacklevel: int) -> None:
    """Warns as `warnings.warn` does. Where the program makes errors of warnings, it is logged instead."""
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel + 1)
    except RuntimeWarning:
        import logging  # too slow to load for what only tells whether coldframe is enabled

        logging.getLogger(__name__).warning(message)

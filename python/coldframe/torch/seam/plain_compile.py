"""torch.compile as it is without automatic mode."""

from __future__ import annotations

import contextvars
from typing import Any

import torch

replaced: Any = None  # what was torch.compile before automatic mode, while that is enabled
plain = contextvars.ContextVar("plain", default=False)  # torch.compile is called for ourselves: automatic mode stays out


def torch_compile(model: Any, **options: Any) -> Any:
    """Calls torch.compile as it is without automatic mode, also where others have wrapped it before or since."""
    token = plain.set(True)
    try:
        return (torch.compile if replaced is None else replaced)(model, **options)
    finally:
        plain.reset(token)

"""Modes of torch in which the program runs."""

from __future__ import annotations

import torch


def is_transforming() -> bool:
    """Returns whether tensors that are made now are not plain ones: within torch.func's transforms, or a dispatch mode."""
    return torch._C._functorch.peek_interpreter_stack() is not None or bool(torch._C._len_torch_dispatch_stack())

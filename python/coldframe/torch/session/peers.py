"""Other processes that need the same: whether a call may wait for them, and how long."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel


def may_wait_for_peers(target: Any) -> bool:
    """True if a call may wait for all processes before anything of it is compiled: in hooks that gather parameters, say. Then
    none of them may wait for what another compiles before that."""
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return False
    owner = getattr(target, "__self__", target)
    if not isinstance(owner, torch.nn.Module):
        return True
    return any(child._forward_pre_hooks or isinstance(child, DistributedDataParallel) for child in owner.modules())


def seconds_to_wait() -> float:
    """Returns the longest wait for another process that compiles the same: COLDFRAME_WAIT, in seconds."""
    try:
        return float(os.environ.get("COLDFRAME_WAIT", "600"))
    except ValueError:
        return 600.0

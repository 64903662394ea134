"""Frames that run as they are although Dynamo was asked to compile them."""

from __future__ import annotations

from typing import Any

from . import symbols


def run_eagerly(reason: str, *, inner_as_known: bool = False) -> Any:
    """Returns the answer that makes Dynamo run a frame as it is. inner_as_known: frames within it are served by known variants
    or run as they are, too."""
    # With fullgraph=True torch refuses a call in which it has counted no compiled frame. Below 0 it does not count.
    set_count = symbols.module("torch._C._dynamo.eval_frame").set_fullgraph_compiled_frame_count
    set_count(count + 1 if (count := set_count(-1)) >= 0 else count)
    dynamo = symbols.module("torch._dynamo.types")
    action = dynamo.FrameAction
    strategy = dynamo.FrameExecStrategy(action.SKIP, action.RUN_ONLY if inner_as_known else action.DEFAULT)
    result = symbols.module("torch._dynamo.convert_frame").ConvertFrameReturn
    return result(frame_exec_strategy=strategy, apply_to_code=False, skip_reason=reason)

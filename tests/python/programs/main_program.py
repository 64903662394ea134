"""A program whose functions are in __main__, in cells of a notebook and in text that nobody can read again.

`python main_program.py first|second FOLDER`: the first run compiles and saves, the second is served.
"""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import coldframe

SCALE = 3.0


def helper(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


def in_main(x: torch.Tensor) -> torch.Tensor:
    y = helper(x)
    print("in the middle")
    return y.sin()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()


CELL = """
def in_a_cell(x):
    return cell_helper(x) + 1

def cell_helper(x):
    return x.cos()
"""

TEXT = "def made_of_text(x):\n    return x * 5\n"


def cell(number: int) -> Any:
    """As IPython runs a cell: in __main__, with its source in linecache under a name of its own."""
    name = f"/tmp/ipykernel_{number}/{number}.py"
    linecache.cache[name] = (len(CELL), None, CELL.splitlines(True), name)
    exec(compile(CELL, name, "exec"), vars(sys.modules["__main__"]))
    return vars(sys.modules["__main__"])["in_a_cell"]


def text(namespace: dict[str, Any]) -> Any:
    exec(TEXT, namespace)
    return namespace["made_of_text"]


def targets(stage: str) -> dict[str, Any]:
    torch.manual_seed(0)
    cells = cell(1 if stage == "first" else 2)  # another process has another name for its cell
    return {"function": in_main, "module": Model().eval(), "cell": cells, "text": text(vars(sys.modules["__main__"]))}


def main(stage: str, folder: Path) -> None:
    x = torch.linspace(-1, 1, 6)
    with torch.no_grad():
        for name, target in targets(stage).items():
            if stage == "first":
                compiled = coldframe.compile(target, backend="eager")
                compiled(x)
                coldframe.save(compiled, folder / name)
            else:
                compiled = coldframe.load(folder / name, target, on_miss="error")
            assert torch.equal(compiled(x), target(x)), name
        before = coldframe.stats()
        assert stage == "first" or (before["compiles"] == 0 and before["misses"] == {}), before
        nowhere = coldframe.compile(text({"__name__": "nowhere"}), backend="eager")
        assert torch.equal(nowhere(x), x * 5)
        try:
            coldframe.save(nowhere, folder / "nowhere")
        except coldframe.NotPortableError as error:
            assert "made_of_text" in str(error) and "no imported module" in str(error), error
        else:
            raise AssertionError("a function of no module was saved")
        assert sum(coldframe.stats()["bypasses"].values()) == 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

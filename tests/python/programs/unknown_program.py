"""A program that uses coldframe on a torch that coldframe does not know: `python unknown_program.py PACKAGE FOLDER`."""

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

import coldframe


def scaled(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    print("a break", file=sys.stderr)
    return y.sin()


def main() -> None:
    package, folder = sys.argv[1], Path(sys.argv[2])
    before = torch.compile
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coldframe.enable(folder / "store")
        torch.manual_seed(0)
        module, x = nn.Linear(3, 3), torch.ones(2, 3)
        compiled = {
            "compile": coldframe.compile(scaled, backend="aot_eager"),
            "decorator": coldframe.compile(backend="eager")(scaled),
            "package": coldframe.compile(scaled, package=folder / "new.cfp", backend="eager"),
            "enabled": torch.compile(scaled, backend="eager"),
            "load": coldframe.load(package, scaled),
            "load eager": coldframe.load(package, scaled, on_miss="eager"),
        }
        right = {name: bool(torch.equal(each(x), (x * 2).sin())) for name, each in compiled.items()}
        made = coldframe.compile(module, backend="aot_eager")
        made(x).sum().backward()
        coldframe.flush()
    refused = []
    for call in (
        lambda: coldframe.load(package, scaled, on_miss="error"),
        lambda: coldframe.compile(scaled, package=package, on_miss="error"),
        lambda: coldframe.save(compiled["compile"], folder / "saved.cfp"),
    ):
        try:
            call()
        except coldframe.IncompatiblePackageError as error:
            refused.append(str(error))
    said = [str(each.message) for each in caught if "coldframe" in str(each.message)]
    print(
        json.dumps(
            {
                "right": right,
                "module": type(made).__name__,
                "gradient": module.weight.grad is not None,
                "said": said,
                "refused": refused,
                "explained": str(coldframe.explain(compiled["compile"])),
                "stats": coldframe.stats(),
                "as it was": torch.compile is before,
                "written": sorted(path.name for path in folder.glob("*.cfp")),
            }
        )
    )


if __name__ == "__main__":
    main()

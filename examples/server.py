"""An HTTP server whose model was compiled when its image was built: it starts without compiling and needs no compiler.

    python examples/server.py build model.cfp      # where the image is built, with a C++ compiler
    python examples/server.py serve model.cfp      # anywhere; listens on port 8000, or on the one given as third argument

    curl -d '[[0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4]]' localhost:8000

The server only reads the package, and `on_miss="error"` forbids compiling: what the package does not serve is refused with the
guard that failed (here: rows that have not four numbers), and costs no minutes. `Dockerfile` beside this file makes an image of
it. Needs nothing but torch and coldframe.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

import coldframe


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 16), torch.nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))).softmax(1)


def made() -> Net:
    torch.manual_seed(0)  # in place of loading a checkpoint
    return Net().eval().requires_grad_(False)


def build(package: str) -> None:
    """Compiles for one row, and for any number of rows."""
    model = coldframe.compile(made(), package=package)
    for rows in (1, 2, 3):
        model(torch.ones(rows, 4))
    print("compiled:", coldframe.stats()["compiles"])


class Handler(BaseHTTPRequestHandler):
    model: Any = None

    def do_POST(self) -> None:
        try:
            rows = torch.tensor(json.loads(self.rfile.read(int(self.headers["Content-Length"]))), dtype=torch.float32)
            self.answer(200, self.model(rows).tolist())
        except coldframe.MissError as error:
            self.answer(422, str(error))
        except (ValueError, TypeError) as error:
            self.answer(400, str(error))

    def do_GET(self) -> None:
        self.answer(200, coldframe.stats())

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(package: str, port: str = "8000") -> None:
    Handler.model = coldframe.load(package, made(), on_miss="error")
    server = ThreadingHTTPServer(("", int(port)), Handler)
    print("listening on port", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"build": build, "serve": serve}[sys.argv[1]](*sys.argv[2:])

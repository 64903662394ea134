"""A model of lightning's, in a module of its own: its class can be found again."""

from __future__ import annotations

from typing import Any

import lightning
import torch


class Regression(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss: torch.Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("loss", (self.net(batch[0]) - batch[1]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)

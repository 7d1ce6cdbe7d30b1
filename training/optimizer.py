"""Muon for the matrices inside the layers, AdamW for everything else.

Muon (Jordan et al., 2024) replaces a matrix's momentum by the nearest orthogonal matrix,
found by a few Newton-Schulz steps. On this corpus it makes copying appear in a third of
the steps that AdamW takes.
"""

from __future__ import annotations

import torch
from torch import nn

MUON_RATE = 0.02
ADAM_RATE = 3e-3
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return matrices [..., rows, columns] with singular values moved close to one."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized; a stacked parameter [experts, rows, columns] is many matrices.

    `gate_up_proj` holds two matrices over each other; they are orthogonalized apart.
    """

    def __init__(
        self, params: list[nn.Parameter], lr: float = MUON_RATE, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every parameter once from its gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, group["lr"], group["momentum"])

    def _update(self, parameter: nn.Parameter, lr: float, momentum: float) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - momentum)
        update = gradient.lerp(state["momentum"], momentum)  # Nesterov
        rows, columns = update.shape[-2:]
        if update.dim() == 3 and rows == 2 * columns:
            rows = columns
            update = update.reshape(-1, rows, columns)
        scale = max(1.0, rows / columns) ** 0.5
        parameter.add_(orthogonalize(update).reshape(parameter.shape), alpha=-lr * scale)


def build_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Return Muon for projections and experts, AdamW for embeddings, routers and norms."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_matrix = (
            parameter.dim() >= 2 and "embed" not in name and not name.endswith("gate.weight")
        )
        (matrices if is_matrix else others).append(parameter)
    adam = torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices), adam]


def polishing_rate_factor(progress: float) -> float:
    """Return the factor of the rates in the last stage: up to a half, then down to zero."""
    return 0.5 * min(progress / 0.05, (1.0 - progress) / 0.95)


def set_learning_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set the rate of every group to `factor` times the rate it was built with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("full_lr", group["lr"]) * factor


def learning_rate_factor(progress: float) -> float:
    """Return the factor of the rates at this part (0 to 1) of training: up, flat, down to zero."""
    if progress < 0.01:
        return progress / 0.01
    return 1.0 if progress < 0.4 else max(0.0, (1.0 - progress) / 0.6)

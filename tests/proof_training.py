"""A small network trained to the end, for the proofs on real data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def standardized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the mean and the spread of the first; a column that does not vary becomes 0."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (train - mean) / spread, (test - mean) / spread


def predictions(
    loss: Callable,
    train: tuple[np.ndarray, np.ndarray],
    test: np.ndarray,
    *,
    classes: int,
    hidden: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> np.ndarray:
    """Classes given to `test` by a network of one hidden layer, or of none, trained by Adam on ``loss(z, y)``."""
    torch.manual_seed(seed)
    features, labels = torch.as_tensor(train[0], dtype=torch.float32), torch.as_tensor(train[1])
    width = features.shape[1]
    layers = [torch.nn.Linear(width, hidden), torch.nn.ReLU()] if hidden else []
    model = torch.nn.Sequential(*layers, torch.nn.Linear(hidden or width, classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(batch):
            optimizer.zero_grad()
            loss(model(features[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return model(torch.as_tensor(test, dtype=torch.float32)).argmax(dim=1).numpy()

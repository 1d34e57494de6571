"""A small training that is tuned as a command line: logistic regression on scikit-learn's digits, in numpy.

It prints a line of JSON after each epoch, and keeps its state in a folder, so that it goes on where it was:

    python controller_train.py --lr 0.1 --batch 64 --epochs 20 --checkpoints state
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", type=Path)
    train(parser.parse_args())


def train(args: argparse.Namespace) -> None:
    """Train up to so many epochs, from the checkpoint if there is one."""
    digits = read_digits()
    digits = np.random.default_rng(0).permutation(digits)  # the same split in every job
    x, y = digits[:, :-1] / 16.0, digits[:, -1].astype(int)
    (x_train, y_train), (x_valid, y_valid) = (x[:1200], y[:1200]), (x[1200:], y[1200:])
    weights, done = np.zeros((x.shape[1] + 1, 10)), 0
    path = args.checkpoints / "state.npz" if args.checkpoints else None
    if path is not None and path.exists():
        with np.load(path) as state:
            weights, done = state["weights"], int(state["done"])
    for epoch in range(min(done + 1, args.epochs), args.epochs + 1):  # what was saved, and not told, is told again
        rows = np.random.default_rng([args.seed, epoch]).permutation(len(y_train))
        for first in range(0, len(rows) if epoch > done else 0, args.batch):
            batch = rows[first : first + args.batch]
            weights -= args.lr * (gradient(weights, x_train[batch], y_train[batch]) + args.weight_decay * weights)
        if path is not None and epoch > done:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name("part.npz")
            np.savez(part, weights=weights, done=epoch)
            part.replace(path)  # whole, or not at all
        accuracy = float(np.mean(scores(weights, x_valid).argmax(axis=1) == y_valid))
        loss = float(-np.mean(np.log(scores(weights, x_train)[np.arange(len(y_train)), y_train] + 1e-12)))
        print(json.dumps({"epoch": epoch, "validation/accuracy": accuracy, "training/loss": loss}), flush=True)


def read_digits() -> Floats:
    """Return 1,797 rows of 64 pixels and a digit: a file of scikit-learn, read without the second that that takes."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise SystemExit("this example needs the data of scikit-learn")
    return np.loadtxt(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")


def scores(weights: Floats, x: Floats) -> Floats:
    """Return the probability of each digit."""
    z = x @ weights[:-1] + weights[-1]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    found: Floats = e / e.sum(axis=1, keepdims=True)
    return found


def gradient(weights: Floats, x: Floats, y: npt.NDArray[np.int64]) -> Floats:
    """Return the gradient of the cross entropy."""
    error = scores(weights, x)
    error[np.arange(len(y)), y] -= 1
    return np.vstack([x.T @ error, error.sum(axis=0)]) / len(y)


if __name__ == "__main__":
    main()

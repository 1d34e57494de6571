"""A search tunes a graph convolutional network of PyTorch Geometric on Cora; needs ``autohpo[pyg]``."""

import argparse

from torch_geometric.datasets import Planetoid

from autohpo import build_hpo_from_name
from autohpo.algorithms.registry import get_hpo
from autohpo.integrations.pyg import NodeTrainer


def main() -> None:
    """Tune on the validation nodes, and look at the test nodes once, in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="data", help="where the data are, or are downloaded to")
    parser.add_argument("--model", default="gcn", help="gcn, gat, sage, gin or appnp")
    parser.add_argument("--algorithm", default="bayes", help="bayes trains each in full; bohb in part at first")
    parser.add_argument("--budget", type=int, default=30, help="what may be trained, in full trainings of 200 epochs")
    parser.add_argument("--confirm", type=int, default=3, help="how many of the best are trained anew, with new seeds")
    parser.add_argument("--store", help="a file that makes the run resumable")
    given = parser.parse_args()

    dataset = Planetoid(given.root, "Cora")
    trainer = NodeTrainer(given.model)
    options = {"max_evals": given.budget}
    if get_hpo(given.algorithm).is_multi_fidelity:
        options = {"budget": given.budget, "min_fidelity": 67, "max_fidelity": 200}
    hpo = build_hpo_from_name(
        given.algorithm,
        trainer.space,
        trainer.objective(dataset),
        points=[trainer.default_point],  # the well-known configuration, first and in full
        seed=0,
        **options,
    )
    best_hp, _ = hpo.optimize(store=given.store, confirm=given.confirm)  # the best and the default

    for name, hp in (("default", trainer.default), ("tuned", best_hp)):
        best = trainer.duplicate_from_hyper_parameter(hp)
        best.train(dataset, seed=1)
        print(f"{name}: {hp}")
        print(f"{name}: validation {best.evaluate(dataset, 'valid'):.3f}, test {best.evaluate(dataset, 'test'):.3f}")


if __name__ == "__main__":
    main()

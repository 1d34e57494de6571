"""What the tests of blackboxopt's contract share: a space, an optimizer of one objective, and a run of it."""

from __future__ import annotations

import blackboxopt as bbo
import parameterspace as ps

from autohpo.integrations.blackboxopt import Optimizer

LOSS = bbo.Objective("loss", greater_is_better=False)


def a_space():
    """A space with a parameter that is not always active."""
    space = ps.ParameterSpace(seed=3)
    space.add(ps.ContinuousParameter("x", (-1.0, 1.0)))
    space.add(ps.CategoricalParameter("opti", ("adam", "sgd")))
    space.add(ps.ContinuousParameter("momentum", (0.0, 1.0)), lambda opti: opti == "sgd")
    return space


def made(name="tpe", **options):
    """An optimizer of one objective."""
    return Optimizer(name, a_space(), LOSS, seed=0, **options)


def evaluate(specification, **more):
    """An evaluation of a bowl."""
    return specification.create_evaluation(objectives={"loss": specification.configuration["x"] ** 2}, **more)


def run(optimizer, n):
    """The configurations of the next n steps."""
    found = []
    for _ in range(n):
        specification = optimizer.generate_evaluation_specification()
        optimizer.report(evaluate(specification))
        found.append((specification.configuration, specification.settings))
    return found

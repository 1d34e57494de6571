"""What can be searched: parameters of several kinds, and the search space they make up."""

if __name__ != "autohpo.spaces":
    raise ImportError("import autohpo.spaces; the root folder spaces is only a view of it")

from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP, FixedHP, OrdinalHP
from autohpo.spaces.constraints import LinearConstraint
from autohpo.spaces.files.reading import read_space
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.spaces.open_ended import OpenHP
from autohpo.spaces.priors import Belief, BetaPrior, NormalPrior, Prior, WeightedPrior
from autohpo.spaces.search_space import SearchSpace
from autohpo.spaces.sequences import Cut, ListHP, PermutationHP
from autohpo.spaces.tied import TiedHP

__all__ = [
    "Belief",
    "BetaPrior",
    "ChoiceHP",
    "Cut",
    "FixedHP",
    "HPSpace",
    "LinearConstraint",
    "ListHP",
    "LogRangeHP",
    "NormalPrior",
    "OpenHP",
    "OrdinalHP",
    "PermutationHP",
    "Prior",
    "RangeHP",
    "SearchSpace",
    "TiedHP",
    "WeightedPrior",
    "read_space",
]

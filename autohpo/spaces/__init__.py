"""What can be searched: parameters of several kinds, and the search space they make up."""

if __name__ != "autohpo.spaces":
    raise ImportError("import autohpo.spaces; the root folder spaces is only a view of it")

from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP, FixedHP
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.spaces.search_space import SearchSpace

__all__ = ["ChoiceHP", "FixedHP", "HPSpace", "LogRangeHP", "RangeHP", "SearchSpace"]

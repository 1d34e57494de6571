"""GraphGym: its grid files as search spaces, and its YAML configurations with the values of a trial.

``python -m autohpo.integrations.graphgym base.yaml grid.txt values.json run.yaml`` writes the configuration of a trial,
for commands; see docs/graphgym.md.
"""

from autohpo.integrations.graphgym.configs import config_of, read_config, write_config
from autohpo.integrations.graphgym.grids import Grid, parse_grid, read_grid

__all__ = ["Grid", "config_of", "parse_grid", "read_config", "read_grid", "write_config"]

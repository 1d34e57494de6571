"""A task that is minimal at x = 0.25 and z = "b", and counts how often it ran."""

import os
import signal
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg: DictConfig):
    """Return the result."""
    with Path(os.environ["RAN"]).open("a") as file:
        file.write(f"{HydraConfig.get().job.num} {cfg}\n")
    time.sleep(cfg.seconds)
    if cfg.ends == HydraConfig.get().job.num:
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.exits == HydraConfig.get().job.num:
        sys.exit(3)
    if cfg.stops == HydraConfig.get().job.num:
        raise KeyboardInterrupt
    if cfg.x > cfg.fails_above:
        raise RuntimeError("x is too large")
    value = (cfg.x - 0.25) ** 2 + (0.0 if cfg.z == "b" else 1.0) + 1 / cfg.epochs
    if cfg.returns == "pair":
        return value, cfg.x
    return {"loss": value, "x": cfg.x} if cfg.returns == "dict" else value


if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore

    CONFIG = {"x": 1.0, "z": "a", "epochs": 1, "seconds": 0.0, "fails_above": 9.0, "returns": "float"}
    CONFIG |= {"ends": -1, "exits": -1, "stops": -1}  # the number of the job that ends its process, and how
    CONFIG["defaults"] = ["_self_", {"override hydra/sweeper": "autohpo"}]
    ConfigStore.instance().store(name="config", node=CONFIG)
    main()

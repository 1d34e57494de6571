"""The parts of HpBandSter that scripts import: name server, worker, result, and what optimizers have in common."""

"""The parts of `regret.py`: tasks, rivals, runs, results, report. Nothing but numpy is needed to import them."""

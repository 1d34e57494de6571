"""Hosts in pools that others made: concurrent.futures, joblib's backends, submitit; files in a folder are the channel.

A pool only starts hosts. It need not carry messages, so any pool will do whose workers see a folder of the driver's.
"""

"""One view of runs: a snapshot and its changes, from the runner of this process or from the store of a live runner.

live_runner   the live runner and what it has in hand, as the store knows it
status        a job's status, as `status --json` shows it
stored_lanes  a lane as the store remembers it, while no runner works on it
totals        the counts of several jobs, added up
"""

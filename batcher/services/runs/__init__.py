"""Jobs that run.

run                 runs jobs to their end, or follows the runner that is at work
follow              how jobs stand that another process runs
status              how a job stands, as `status --json` shows it
stored_lanes        a lane as the store remembers it, while no runner works on it
interpreter_tuning  Python's settings for a busy process: switch interval and garbage collector
"""

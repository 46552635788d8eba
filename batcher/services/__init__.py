"""What every surface offers, one file per use. A service takes an open store and plain values; it prints nothing.

jobs          submit, check, cancel and delete jobs; change a job's settings
runs          run jobs to their end, here or in the live runner
monitor       one view of runs: the status of jobs, and what the live runner has in hand
results       write results and errors to files
dead_letters  list, summarize, edit, retry, export and discard dead letters
diagnostics   `doctor` and `bundle`
store         open, upgrade, check and back up the store; manage the cache
simulate      serve the simulated provider
"""

"""What every surface offers, one file a use. A service takes an open store and plain values; it prints nothing.

jobs          submit, check, cancel, delete; a job's settings
runs          jobs run to their end, followed, and shown by `status`
results       results and errors written to files
dead_letters  listed, summarized, edited, retried, exported, discarded
diagnostics   `doctor` and `bundle`
store         opened, upgraded, checked, backed up; the cache
simulate      the simulated provider
"""

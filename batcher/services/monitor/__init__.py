"""One view of runs: a snapshot and its changes, from the runner of this process or the store of a live one.

run_monitor   watches the jobs of one command, and returns what they look like now
run_view      what they look like: counts, rates, lanes, what holds requests back
changes       passes each event of a run to everything that shows or records it
own_events    find the events that concern the command's own jobs
totals        the counts of several jobs, added up, from the store
live_runner   the live runner and what it has in hand, as the store knows it
status        a job's status, as `status --json` shows it
stored_lanes  a lane as the store remembers it, while no runner works on it
"""

"""What several commands do in the same way.

submit         a job file becomes a job, or is found to be one already
selection      the jobs that `resume` means, with its flags laid over what they remember
run            runs jobs with progress and signals, and writes their results
result_writer  writes the results of each job when that job is finished
summary        the summary at the end of a run, and the exit code
progress       the live display, or plain lines
event_log      the log: one line an event
signals        the first signal drains, the second stops
"""

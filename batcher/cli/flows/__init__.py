"""Steps that several commands share.

submit         store a job file as a job, or find the job that it already has
parsing        what the options for reading a job file's lines mean
limit_notes    say which limits name a model that the file does not hold
stored_notes   say what became of a job file, and what is paid again
job_errors     name the job and its endpoint in errors
selection      find the jobs for `resume`, and apply its flags to their settings
run            run jobs with progress and signals, and write their results
result_writer  write the results of each job when that job is finished
summary        print the summary at the end of a run, and choose the exit code
progress       show the live display, or plain lines
left_over      say who continues jobs that were handed over
event_log      write the log: one line per event
signals        drain on the first signal, stop on the second
"""

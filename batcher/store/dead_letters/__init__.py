"""Dead letters: requests that failed permanently, kept with their whole history.

listing   a page of dead letters, and one with its attempts
filters   which dead letters a command means
summary   dead letters grouped by cause
regroup   back to pending, grouped with the live rows of the same body
live_rows  the leaders of large jobs, noted once for many transactions
redrive   back to pending, or discarded, one chunk per transaction
edits     a request with a new body
export    dead letters as lines of a job file
"""

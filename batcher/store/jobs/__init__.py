"""Jobs as rows.

loading   a job file stored in chunks, invisible until it is whole
jobs      finding, starting, finishing, cancelling and deleting jobs
removal   what a deleted request takes with it
leaders   which of the rows with the same body leads, chosen in chunks
id_range  a job's requests as a range of ids
kept_counts  a job's counts, changed with its rows
recount   a job's counts, counted from its rows
open_routes  which routes have rows that are not settled
"""

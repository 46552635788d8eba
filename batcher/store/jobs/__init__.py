"""Jobs as rows.

loading   a job file stored in chunks, invisible until it is whole
jobs      finding, starting, finishing, cancelling and deleting jobs
id_range  a job's requests as a range of ids
"""

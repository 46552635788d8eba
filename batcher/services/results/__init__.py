"""The results of a job.

write   writes the results of one job on request
export  writes result and error files in input order, atomically
"""

"""What comes out of a job.

write   the results of one job, for a person who asks
export  result and error files: in input order, whole or not there
"""

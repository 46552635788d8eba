"""The results of a job.

write        writes the results of one job on request
export       writes result and error files in input order, atomically
odd_answers  notes about answers that are cut, empty or not validated
"""

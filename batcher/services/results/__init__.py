"""The results of a job.

write        writes the results of one job on request
export       writes result and error files in input order, atomically
pages        reads a job page by page, without a transaction that stays open
places       where the files go, and what may be replaced there
odd_answers  notes about answers that are cut, empty or not validated
"""

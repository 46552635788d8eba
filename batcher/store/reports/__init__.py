"""What the store reports about jobs.

job_counts       counts of a job by state, for `status`
results          a job's answers and failures in input order
support          attempts and bodies, for a bundle
row_counts       how many rows each table has
same_rows        rows that an earlier job has, too
answer_lengths   how long the answers of each model were
cache            the answers kept for reuse
attempt_columns  columns that several reports derive from the attempts
"""

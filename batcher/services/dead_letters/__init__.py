"""Dead letters, one file a use.

inspect    listed, and one shown with its history
summarize  grouped by cause, with figures and advice
retry      back to pending
edit       with changed bodies
probe      the smallest one first
export     as a job file
discard    given up
"""

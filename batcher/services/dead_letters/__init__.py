"""Dead letters, one module per use.

inspect    lists them, and shows one with its history
means      fills in the commands of an advice
summarize  groups them by cause, with figures and advice
retry      puts them back to pending
edit       changes their bodies
probe      retries the smallest one first
export     writes them as a job file
discard    cancels them
"""

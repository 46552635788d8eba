"""The vocabulary of batcher: frozen values, enums, errors and settings. No I/O, no clock.

errors       the errors that people and programs see, in one tree
events       what the core reports to its listeners
feedback     what a request that came back says about its lane's limits
exchange     the raw result of an attempt: an HTTP reply, or why there is none
ids          typed integer keys
jobs         a job, its counts, pauses and the runner
lanes        what a rate limit is attached to, and what is known about it
messages     what a surface words for people: a cause and its parameters
outcomes     what a reply means: success, or failure of a kind
requests     a line of a job file, a claim, a route, a row that has ended
secret       a key that cannot be printed by accident
settings     the settings of a job and of the process
settlements  what is done about an outcome, and the record of the attempt
states       the closed sets of words, which the database repeats as CHECKs
"""

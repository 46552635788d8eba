"""Jobs before they run.

submit             validates and stores a job file, whole or not at all
known_jobs         finds the job that a file already has, and the endpoint of a new one
options            the options of a submission, and what they mean for the parsing of lines
refuse_early       refuses a wrong file before a store is created for it
refused_lines      invalid lines by reason and form, and what to do about them
line_chunks        parses and fingerprints lines, in chunks that are stored together
reader_process     parses large job files in a subprocess
background_writer  stores a chunk in a second thread while the next one is parsed
expected_output    how long answers without a stated maximum are expected to be
check              validates a job file without a store or a network
manage             finds, cancels and deletes jobs
change_settings    applies a command's flags to the settings that a job remembers
repeats            counts rows that share an answer although the model samples at random
"""

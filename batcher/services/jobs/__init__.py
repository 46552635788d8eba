"""Jobs before they run.

submit             a job file is checked and stored, whole or not at all
line_chunks        lines of a job file, checked and fingerprinted, in the chunks that are stored together
reader_process     large job files are parsed in a process of their own
background_writer  a chunk is stored while the next one is parsed
check              a job file checked without a store or a network
manage             jobs found, cancelled, deleted
change_settings    what a job remembers, and what flags change of it
repeats            rows that share an answer although the model samples at random
"""

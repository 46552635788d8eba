"""Output for people and scripts.

output    JSON documents, lines, numbers, durations, tables
messages  words messages, with flags and with the store that this command uses
layout    fits lines and tables to the width of the terminal
errors    prints errors as text or JSON, and chooses the exit code
misuse    advice for several files at once, and for what the system refuses
streams   stdout and stderr that cannot be written
confirm   asks before something is removed
"""

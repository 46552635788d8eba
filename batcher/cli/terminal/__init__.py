"""Output for people and scripts.

output   JSON documents, lines, numbers, durations, tables
layout   fits lines and tables to the width of the terminal
errors   prints errors as text or JSON, and chooses the exit code
streams  stdout and stderr that cannot be written
confirm  asks before something is removed
"""

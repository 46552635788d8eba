"""What people see.

output   JSON documents, sentences, numbers, durations, tables
layout   lines and tables fitted to the width of the terminal
errors   errors as people and scripts see them, and the exit code
confirm  asks before something is removed
"""

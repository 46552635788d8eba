"""The options of the commands.

session      the options that every command shares
job_options  the options of `run`, `submit`, `resume` and `doctor`
"""

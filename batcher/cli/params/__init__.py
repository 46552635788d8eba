"""The options of the commands.

session      the options that every command shares
job_options  the settings of `run`, `submit` and `resume`
values       numbers
"""

"""`batcher doctor` and `batcher bundle`: whether everything works from here, and what a support desk needs.

doctor           runs the checks, one after the other
doctor_replies   interprets the replies of an endpoint
doctor_store     checks the store, and the disk under it
doctor_report    the results: one check, the diagnosis
doctor_note      writes the dated note of a working configuration
bundle           writes the zip for a support desk
bundle_attempts  its attempts, without the text of their prompts
bundle_readme    its README
versions         the versions of the program and its dependencies
"""

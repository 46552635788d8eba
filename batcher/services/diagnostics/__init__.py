"""Does it work from here, and what does a support desk need?

doctor           the checks, one after the other
doctor_replies   what an endpoint's replies tell
doctor_store     the store, and the disk under it
doctor_report    the form of what is found
doctor_note      the dated note of a configuration that works
bundle           the zip for a support desk
bundle_attempts  its attempts, without the words of their prompts
bundle_readme    its README
versions         which versions run here
"""

"""The store as a whole.

open_store  opens the store for a command
maintain    upgrade, check, backup
cache       counts and removes cached answers
"""

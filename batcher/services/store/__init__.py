"""The store as a whole.

open_store  opens the store for a command
turns       lets other processes write between two chunks
maintain    upgrade, check, backup
cache       counts and removes cached answers
"""

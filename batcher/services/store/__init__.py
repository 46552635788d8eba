"""The store as a whole.

open_store  opens the store for a command
reclaim     gives the disk back what a deletion freed
turns       lets other processes write between two chunks
maintain    upgrade, check, compact, backup
cache       counts and removes cached answers
"""

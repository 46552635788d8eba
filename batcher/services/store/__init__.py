"""The store as a whole.

open_store  opens the store for a command
maintain    upgrade, check, backup
cache       answers kept for reuse
"""

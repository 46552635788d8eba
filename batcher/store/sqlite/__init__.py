"""The SQLite file, and the files beside it.

database       opens a store; read and write transactions
store_port     what else the services ask of a store
connections    their settings, and their errors in plain words
spelling       how SQLite spells what the engines spell differently
read_only      a store that can only be read
writer_thread  one thread that commits in batches
wal_flush      flushes the write-ahead log in parallel with the commits, on a disk that is slow to flush
file_locks     the locks of writers, of the runner and of loaders
lock_wait      waiting for a lock that another process holds
forks          what a forked child must not keep
filesystem     one real path; network file systems are refused
in_flight_log  which claimed requests were actually sent, in a file that survives SIGKILL
maintenance    checks and backups
migrate        upgrades, by Alembic
"""

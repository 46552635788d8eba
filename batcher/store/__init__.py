"""SQL lives here and nowhere else: SQLAlchemy Core over SQLite, one named function an operation.

tables      the schema, with the invariants the database itself holds
locks       the side-file locks: around writes, of the runner, of those who load a job
lock_wait   waiting for them, not without a word and not without end
mounts      what a store may not stand on: network file systems
engine      opening a store; write and read transactions
looking     a store that can only be read
migrate     Alembic, only when the version row differs
hot         statements built in Core, compiled once
within      a job as a range of the table
submit      loading a job
claim       claims by route; what is answered already is settled on the way
settle      the ends of claims, in groups
followers   rows that share the end of another
causes      what a failed request died of
seen        how often a provider has seen a request
holders     who claims; giving back what a dead holder had
wall_time   a clock that was ahead and is right again
thread      the writers: one thread that commits in groups, or inline in a simulation
adapter     the port `Queue` over all of these
read, export, dead_letters, redrive, cache, jobs, pauses, lanes, maintenance, support   what services ask
"""

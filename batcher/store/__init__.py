"""SQL lives here and nowhere else: SQLAlchemy Core over SQLite, one named function an operation.

tables      the schema, with the invariants the database itself holds
locks       the side-file locks: around writes, of the runner, of those who load a job
engine      opening a store; write and read transactions
migrate     Alembic, only when the version row differs
hot         statements built in Core, compiled once
within      a job as a range of the table
submit      loading a job
claim       claims by route; what is answered already is settled on the way
settle      the ends of claims, in groups
followers   rows that share the end of another
causes      what a failed request died of
holders     who claims; giving back what a dead holder had
thread      the writers: one thread that commits in groups, or inline in a simulation
adapter     the port `Queue` over all of these
read, export, dead_letters, redrive, cache, jobs, pauses, lanes, maintenance, support   what services ask
"""

"""SQL lives here and nowhere else: SQLAlchemy Core over SQLite, one named function an operation.

tables      the schema, with the invariants the database itself holds
locks       the two side-file locks: one around writes, one held by the runner
engine      opening a store; write and read transactions
migrate     Alembic, only when the version row differs
hot         statements built in Core, compiled once
submit      loading a job
queue       claim; settle; rescue and holders each in their own module
thread      one thread that commits in groups
adapter     the port `Queue` over all of these
read, export, dead_letters, cache, jobs, pauses, lanes   what services ask
"""

"""All SQL of batcher: SQLAlchemy Core over SQLite, one named function per operation.

schema        the tables, with the invariants that the database itself enforces
dialect       what the engines spell differently
compiled      statements that are built in Core, compiled once for each engine, and run on the driver's cursor
queue         the hot path: claim, settle, and what goes with them; the port `Queue` over them
jobs          jobs as rows: loading, finding, finishing, deleting
dead_letters  listing, filtering, editing and redriving dead letters
reports       what `status`, `results` and the bundle read
sqlite        the file: connections, the writer thread, locks, migrations
"""

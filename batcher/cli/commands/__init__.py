"""One file a command; `batcher dlq` is a folder. `lazy_group` lists them."""

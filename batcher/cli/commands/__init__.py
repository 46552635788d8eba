"""One module per command; `batcher dlq` is a package. `lazy_group` lists them."""

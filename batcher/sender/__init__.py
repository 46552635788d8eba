"""HTTP out: one exchange with one endpoint and one key. Never raises for what a server or the network did."""

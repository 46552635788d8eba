"""JSONL in and out: job files read line by line, results written whole or not at all."""

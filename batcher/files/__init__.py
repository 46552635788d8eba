"""Reads job files line by line; writes result files completely or not at all.

reading  lines of a job file, in bounded memory, and its digest
source   a job file opened for reading: plain, gzip, zstd or stdin
authorship  who wrote a file: a job or a person
writing  files written beside their target, then renamed
"""

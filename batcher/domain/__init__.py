"""The words of batcher: frozen values, enums, errors and settings. No I/O, no clock."""

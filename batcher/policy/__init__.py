"""The decisions: pure functions. Time, jitter and settings come in as arguments."""

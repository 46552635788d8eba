"""What users read about their rows.

jsonl           result, error and job lines
line_author     which job wrote a line
advice          what a person can do about a dead letter
same_failure    the edit that would fix rows that all fail for one cause
odd_answers     what is said about answers that are cut, empty or not validated
"""

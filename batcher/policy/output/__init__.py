"""What users read about their rows.

jsonl           result, error and job lines
advice          what a person can do about a dead letter
odd_answers     what is said about answers that are cut, empty or not validated
"""

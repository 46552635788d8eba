"""From a line of a job file to a request, checked before anything is stored or sent.

line_parser       one line becomes a request or a refusal
fast_line_parser  the common case, a chat of plain text, at a tenth of the cost
body_validation   what the known endpoints would refuse for certain
foreign_forms    lines of other forms: other providers', results, data, parts of other files
file_forms       files that are no JSON Lines at all, by their first bytes
form_advice      which advice there is about lines of a form
row_notes        valid lines that are probably not meant as they are
strict_json       JSON without NaN, lone surrogates, oversized numbers or deep nesting
json_spans        where the members of a JSON document stand in its bytes
body_edit         `--set` and `--unset`: a body changed at dotted paths, all other bytes kept
deduplication     which requests are the same, and which may share an answer
key_sets          which keys came before: a Bloom filter and a compact index
"""

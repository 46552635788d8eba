"""What providers and people write in words: each kind of text is recognized in one place.

phrase           a regular expression that is compiled when it is first used
identifiers      splits identifiers into words
token_overflow   that a prompt exceeds the model's window, and by how many tokens
limit_words      that a rate was exceeded, or that there is no capacity now
credentials      which headers carry a credential
url_secrets      what of a base URL may be shown
account_trouble  what is wrong with the account, the key, the model's name or the address
"""

"""How many tokens a request costs.

estimate   prompt and output tokens of a request, from its bytes
media      images by the model's own rule, sounds and files; base64 by its form
tokenizer  exact counts for OpenAI's models, if the `tokens` extra is installed
oversized  requests that exceed a limit on their own, so that no waiting admits them
"""

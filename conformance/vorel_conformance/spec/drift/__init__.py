"""What changed between two OpenAPI documents, whom that breaks, and which clauses lose their sentence.

The rule is oasdiff's: each change widens or narrows what the contract accepts, in a request or in a response. Narrower
requests and wider responses break clients. The mirror image breaks servers: one that was right must accept more, or may
answer with less. Where neither can be told, both may break.
"""

"""The same processes for people with a browser: pages over the operations, with a session in the token's place."""

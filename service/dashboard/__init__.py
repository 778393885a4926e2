"""The dashboard: pages for people with a browser, over the same operations, with a session in the token's place."""

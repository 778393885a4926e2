"""The wire contract: the only package that imports marshmallow. HTTP in, operations, HTTP out."""

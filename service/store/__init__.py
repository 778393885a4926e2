"""Postgres: the only package that imports asyncpg. It hands out model objects and raises service.errors."""

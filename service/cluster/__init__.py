"""Kubernetes: the only package that imports kubernetes_asyncio. Hands out model objects, raises service.errors."""

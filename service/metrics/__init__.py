"""What the service counts and measures: the only package that imports prometheus_client."""

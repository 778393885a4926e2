"""The local stack: a real Kubernetes control plane with simulated nodes (KWOK), and a real Postgres.

`make run` and the tests start it; nothing here is deployed. Everything listens on loopback and nothing is fetched
while it runs. Linux only: processes are identified through /proc.
"""

"""A drop-in Cloud Foundry v3 Processes API over a Kubernetes cluster."""

__version__ = "0.1.0"

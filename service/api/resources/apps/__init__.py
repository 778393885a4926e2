"""Apps, and what else is derived of them: droplets, deployments and manifests."""

"""What the tests share: the cluster's admin, a client of the API, manifests."""

"""One file a resource: what it is, how it is shown, and what can be done with it. service.api.routes has the table."""

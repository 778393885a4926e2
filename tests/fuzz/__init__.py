"""`make fuzz`: schemathesis against the service over a real control plane, by the API's own document."""

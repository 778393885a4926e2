"""Routes: where apps are reached from outside."""

"""What the product does, in the API's own words. Operations know the caller, not HTTP."""

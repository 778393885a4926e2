"""What any HTTP service needs around its handlers. Knows HTTP, and no resource."""

"""Which version of the Cloud Controller's API this is."""

API_VERSION = "3.220.0"
"""The version of the Cloud Controller API whose behaviour this is; clients choose their requests by it."""

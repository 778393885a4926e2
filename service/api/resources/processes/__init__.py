"""The processes of apps. `resource` says what they are; the other modules are what that refers to."""

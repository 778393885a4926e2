"""What a person can put right: shown as one line, without a trace."""


class LocalStackError(Exception):
    """The stack cannot be built, started or used; the message says what to do about it."""

"""Whether a path or a query can be decoded at all; what is in it is for service.api to say."""

import re
from urllib.parse import unquote_to_bytes

from service.errors import InvalidRequest

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check_decodable(raw: str) -> None:
    """Raises InvalidRequest for a path or query whose percent-escapes are broken, no UTF-8, or hide a NUL."""
    if "\0" in raw or not raw.isascii():
        raise InvalidRequest("The request line must be ASCII, other characters percent-encoded")
    if "%" not in raw:
        return
    if _BAD_ESCAPE.search(raw):
        raise InvalidRequest("A '%' in the path or query must be followed by two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The path or query is not UTF-8 once percent-decoded") from error
    if "\0" in text:
        raise InvalidRequest("The path or query holds a NUL character")

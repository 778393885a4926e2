"""Regular expressions for the API's document: what service.model.selectors and service.api.bodies take, and no more.

In the dialect of JSON Schema (ECMA-262), where a pattern is found anywhere unless it is anchored.
"""

from service.model.selectors import MAXIMUM_REQUIREMENTS, MAXIMUM_VALUES, RESERVED_PREFIX

_NAME = "[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_RESERVED = "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else "[.]" for letter in RESERVED_PREFIX)
# A prefix that is too long cannot be told from its labels: they are counted before they are looked at.
_KEY = rf"(?!{_RESERVED}/)(?![A-Za-z0-9.-]{{254}})(?:{_DNS_LABEL}(?:[.]{_DNS_LABEL})+/)?{_NAME}"
_REQUIREMENT = f"(?:!{_KEY}|{_KEY}(?:(?:==|!=|=)(?:{_NAME})?| (?:in|notin) [(]{_NAME}(?:,{_NAME})*[)])?)"

KEY = f"^{_KEY}$"
LABEL_VALUE = f"^(?:{_NAME})?$"
SELECTOR = f"^{_REQUIREMENT}(?:,{_REQUIREMENT})*$"
TOO_MANY_REQUIREMENTS = rf"^(?:[^(),]*(?:[(][^()]*[)])?,){{{MAXIMUM_REQUIREMENTS}}}"
TOO_MANY_VALUES = rf"[(](?:[^(),]*,){{{MAXIMUM_VALUES}}}"
VARIABLE = "^[ -<>-~]{1,253}$"
NO_NUL = "^[^\\u0000]*$"
NO_COMMA = "^[^,\\u0000]*$"
SEGMENT = "^[^/\\u0000]+$"
# All that Python takes for a space, and what controls terminals. What `\\s` is differs from dialect to dialect.
_SPACES = "\\u0000-\\u0020\\u007f\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
ENDPOINT = f"^/[^{_SPACES}]*$"

_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
TIMESTAMP = f"^(?:(?!0000)[0-9]{{4}}-{_DAY}|{_LEAP_YEAR}-02-29)T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"


def digits_to(most: int) -> str:
    """As many digits as `most` has, or fewer, of a number that is not above it."""
    written = str(most)
    below = [f"[0-9]{{1,{len(written) - 1}}}"]
    for place, digit in enumerate(written):
        if digit != "0":
            rest = len(written) - place - 1
            below.append(f"{written[:place]}[0-{int(digit) - 1}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"^(?:{'|'.join(below)}|{written})$"

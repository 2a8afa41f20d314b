"""How a URL is written for people: without what is a secret in it. It is never written otherwise."""

import re
from typing import Final
from urllib.parse import unquote_plus

HIDDEN: Final = "***"
"""What stands for a secret."""

# As SQLAlchemy finds it: all up to an `@`, and people do not encode those of their passwords.
_PASSWORD: Final = re.compile(r"(?<=://)([^:/]*:)[^@]*(?:@[^@/?]*)*(?=@)")
# Of what was meant as a URL and is none, as a slash was lost.
_OF_NO_URL: Final = re.compile(r":[^@\s'\"]*(?:@[^@/?\s'\"]*)*(?=@)")
_PARAMETER: Final = re.compile(r"([?&])([^?&=]*)=([^&]*)")
_SECRET: Final = re.compile(
    r"pass|pwd|(?:\b|_)pw\b|secret|token|credential|private|api_?key|auth", re.IGNORECASE
)
# In the value of another: of one that is a list of parameters itself (`odbc_connect=…;PWD%3D…`).
_SECRET_WITHIN: Final = re.compile(rf"(?:{_SECRET.pattern})[^=]*=", re.IGNORECASE)


def url_without_secrets(url: str) -> str:
    """Return *url* with `***` for each secret: the password, and parameters of a secret name."""
    if "://" in url:
        return _PARAMETER.sub(_parameter_without_secret, _without_password(url))
    return _PARAMETER.sub(_parameter_without_secret, _OF_NO_URL.sub(f":{HIDDEN}", url))


def _without_password(url: str) -> str:
    return _PASSWORD.sub(rf"\1{HIDDEN}", url)


def _parameter_without_secret(found: re.Match[str]) -> str:
    name, value = unquote_plus(found[2]), unquote_plus(found[3])
    is_secret = _SECRET.search(name) or _SECRET_WITHIN.search(value) or _without_password(value) != value
    return f"{found[1]}{found[2]}={HIDDEN}" if is_secret else found[0]

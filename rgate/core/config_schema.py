"""The JSON Schema of `config.yml` (2020-12), for editors: made from the types that check the file, with what
each key means (`schema`, behaviour 9).

It cannot say what two entries say together, such as a backend that no entry defines: `check` does.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from rgate.core.config import Config, DefaultResponse
from rgate.core.config_values import Body

MEANINGS: Final[Mapping[str, str]] = {
    "routes": "which requests go to which backend",
    "routes[].path_prefix": "Which route takes a request. ASCII without spaces, `?`, `#`, `.` and `..` "
    "segments: what has those could never match",
    "routes[].backend": "the `name` of a backend",
    "routes[].match": "`prefix`: `/api/pay` also takes `/api/payment`; `segment`: only `/api/pay` and "
    "`/api/pay/…`",
    "routes[].strip_prefix": "`true` removes the prefix before the request is forwarded",
    "routes[].response_format": "`raw`: the backend's response, untouched; `envelope`: in JSON, beside its "
    "status",
    "routes[].host": "the route is for this host only, or for those with one label or more before it",
    "backends": "where requests go: containers by their labels, or fixed addresses",
    "backends[].name": "what routes, figures and logs call it",
    "backends[].match_labels": "a container is a candidate if it has *all* of them, compared as exact "
    "strings. Each is split at its first `=`",
    "backends[].urls": "fixed addresses, which need no Docker. The port is 80 if it is left out",
    "backends[].port": "the container's port, where it has several; the label `rgate.port` on the container "
    "says it too",
    "backends[].address": "`published`: the port on the host; `container`: the container's own address; "
    "`auto`: the published port if there is one, else the container's own address; where rgate itself runs "
    "in a container, an address on a network that both are on",
    "backends[].policy": "who is picked among several candidates: each with the same chance; in turn; "
    "whoever has the fewest requests of this rgate under way",
    "backends[].timeouts": "how long a backend is waited for, in seconds",
    "backends[].timeouts.connect": "How long a candidate may take to accept a connection",
    "backends[].timeouts.response": "from the last byte of the request to the end of the response's head",
    "backends[].timeouts.idle": "between two reads or two writes",
    "backends[].sources": "whose containers are its candidates, by the names of `sources`",
    "default_response": "what is answered where no route matches",
    "default_response.body": "what is answered where no route matches",
    "default_response.status_code": "with which status it is answered",
    "trusted_proxies": "peers that are proxies of yours: their `X-Forwarded-…` fields are kept, and "
    "`X-Forwarded-For` is added to; anybody else's are dropped",
    "stats": "where the figures are kept, and shown",
    "stats.database": "where the figures are kept; PostgreSQL: `postgresql+psycopg://user@host/name`, "
    "of the encoding UTF8",
    "stats.path": "where they are shown; it wins over every route",
    "admin": "who may use the pages under `/_rgate/`",
    "admin.allow": "who may use `/_rgate/…`, by the address of the TCP connection",
    "admin.hosts": "further names by which they may be asked",
    "limits": "bounds of what clients and backends may send, and of open connections",
    "limits.header_bytes": "bytes of a head, both of requests (else 414 or 431) and of backends' responses "
    "(else 502)",
    "limits.header_fields": "fields of a head, likewise",
    "limits.body_bytes": "bytes of a request's content (else 413)",
    "limits.connections": "clients' connections open at once; workers share them, and there are fewer where "
    "descriptors are",
    "tracing": "spans of requests, by OpenTelemetry; without it no traces are made",
    "tracing.endpoint": "the collector that spans are sent to; without a path, `/v1/traces` is asked",
    "tracing.sample": "of which share of the traces; a trusted peer that has decided is heeded instead",
    "sources": "who is asked for containers; without it the Docker that the `docker` command would ask",
    "sources[].name": "what figures, logs and pages call it, and its containers after, as in `far/orders-1`",
    "sources[].docker": "which Docker is asked, or which Podman",
    "sources[].swarm": "which manager of a Swarm is asked for services, tasks and nodes",
    "sources[].tls": "files for TLS with a daemon at `tcp://`",
    "sources[].tls.ca": "who has signed the daemon's certificate",
    "sources[].tls.cert": "rgate's own certificate, where the daemon asks for one",
    "sources[].tls.key": "and its key",
    "sources[].address_host": "where the ports are that its containers publish",
}
"""What each key means, by its path. docs/configuration.md says the same, and what it rests on."""

_TITLE: Final = "The configuration of rgate, config.yml"


def config_schema() -> dict[str, Any]:
    """Return the schema, of JSON's own types."""
    schema = TypeAdapter(Config).json_schema(schema_generator=_Schema)
    definitions = schema["$defs"]
    for path, place in _keys(schema, definitions, ""):
        if path in MEANINGS:
            place["description"] = MEANINGS[path]
        is_some = "minItems" in place or "anyOf" in place
        if place.get("default", ...) in (None, "") or (place.get("default") == [] and is_some):
            del place["default"]  # no value that a file may have: the key is left out
    definitions["Backend"]["oneOf"] = [{"required": ["match_labels"]}, {"required": ["urls"]}]
    definitions["Backend"]["dependentSchemas"] = {"sources": {"required": ["match_labels"]}}
    definitions["Source"]["oneOf"] = [{"required": ["docker"]}, {"required": ["swarm"]}]
    schema["properties"]["sources"]["minItems"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        **{key: value for key, value in _plain(schema).items() if key not in ("title", "description")},
    }


def schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def schema_keys() -> list[str]:
    """Return the path of each key that a file may have."""
    schema = TypeAdapter(Config).json_schema(schema_generator=_Schema)
    return [path for path, _ in _keys(schema, schema["$defs"], "")]


class _Schema(GenerateJsonSchema):
    """Writes defaults as a file would have them."""

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case Body():
                return dft.content.decode()
            case DefaultResponse():
                return {"body": dft.body.content.decode(), "status_code": dft.status_code}
            case _:
                return super().encode_default(dft)


def _keys(
    schema: JsonSchemaValue, definitions: JsonSchemaValue, path: str
) -> Iterator[tuple[str, JsonSchemaValue]]:
    """Yield the path and the schema of each key below *schema*."""
    for name, place in schema.get("properties", {}).items():
        here = f"{path}{name}"
        yield here, place
        is_list = "items" in place
        inner = place["items"] if is_list else (place.get("anyOf") or [place])[0]
        reference = inner.get("$ref", "").removeprefix("#/$defs/")
        if reference and "properties" in definitions[reference]:
            yield from _keys(definitions[reference], definitions, f"{here}{'[]' if is_list else ''}.")


def _plain(schema: Any, *, is_mapping: bool = False) -> Any:
    """Return *schema* without the titles that pydantic makes of names, and docstrings, which are for readers
    of the code. *is_mapping*: its keys are names.
    """
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    is_made = {"title"} if not is_mapping else set[str]()
    if not is_mapping and ("properties" in schema or "enum" in schema):
        is_made.add("description")
    return {
        key: value if key in ("default", "enum") and not is_mapping
        else _plain(value, is_mapping=key in ("properties", "$defs"))
        for key, value in schema.items()
        if key not in is_made
    }  # fmt: skip

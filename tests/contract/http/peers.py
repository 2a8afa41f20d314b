"""nginx, HAProxy, Caddy and Envoy, each with the same routes as rgate, set to stream and to keep
what it is given as far as its options go. Clauses that a peer cannot be set to hold show as such.
"""

import json
import shutil
import socket
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path

from bench.machine import free_port
from tests.contract.http.gateways import Gateway
from tests.contract.http.site import (
    DEFAULT_BODY,
    DEFAULT_STATUS,
    HOST_KINDS,
    KINDS,
    MOST_BODY_BYTES,
    MOST_CONNECTIONS,
    Lane,
)


def program(name: str) -> str | None:
    """Return the path of the program *name*, installed in this environment or on the machine."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin")


# No peer puts responses in envelopes.
_ENVELOPES = frozenset(name for name, kind in KINDS.items() if kind.envelope)
# A host that has no route for a path falls through to other routes in rgate and HAProxy only; a wildcard
# is one label for Caddy.
_HOSTS = frozenset(HOST_KINDS)


class Peer(Gateway):
    """A gateway of someone else's."""

    lacks = _ENVELOPES | _HOSTS

    def _launch(self) -> subprocess.Popen[bytes]:
        self._chosen = free_port()
        config = self.directory / "config"
        config.write_text(self.config(self._chosen))
        path = program(self.name)
        assert path is not None, f"{self.name} is not installed"
        return self._run(path, *self.options(config), HOME=str(self.directory))

    def _find_port(self) -> int:
        try:
            socket.create_connection(("127.0.0.1", self._chosen), 1).close()
        except OSError:
            return 0
        return self._chosen

    @abstractmethod
    def config(self, port: int) -> str:
        """Return the configuration that carries the site on *port*."""

    @abstractmethod
    def options(self, config: Path) -> list[str]:
        """Return the command line, without the program."""

    def longest_first(self) -> list[Lane]:
        """Return the lanes so that the first match is the one that counts."""
        return sorted(self.site.lanes, key=_precedence, reverse=True)


def _precedence(lane: Lane) -> tuple[bool, int, int]:
    """Return an exact host before a wildcard before none, and then whichever is longer."""
    exact = bool(lane.host) and not lane.host.startswith("*")
    return exact, 0 if exact else len(lane.host), len(lane.path)


def _ports(lane: Lane) -> list[int]:
    return [listener.port for listener in lane.listeners]


class Nginx(Peer):
    name = "nginx"

    def options(self, config: Path) -> list[str]:
        return ["-c", str(config), "-p", str(self.directory), "-e", "stderr"]

    def config(self, port: int) -> str:
        upstreams = "\n".join(
            f"upstream {lane.name} {{ "
            f"{' '.join(f'server 127.0.0.1:{one};' for one in _ports(lane))} keepalive 8; }}"
            for lane in self.site.lanes
        )
        locations = "\n".join(self._location(lane) for lane in self.site.lanes)
        limits = f"client_max_body_size {MOST_BODY_BYTES if self.site.limited else 0};"
        if self.site.limited:
            limits += " set_real_ip_from 127.0.0.1/32;"
        connections = MOST_CONNECTIONS * 2 if self.site.limited else 8192
        return f"""
daemon off; master_process off; pid {self.directory}/pid; error_log stderr; worker_rlimit_nofile 20000;
events {{ worker_connections {connections}; }}
http {{
  access_log off; server_tokens off; underscores_in_headers on; ignore_invalid_headers off;
  merge_slashes off; large_client_header_buffers 4 32k; client_header_timeout 10s; {limits}
  variables_hash_max_size 4096; server_names_hash_max_size 4096;
  client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;
  proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; proxy_buffer_size 64k;
  proxy_buffers 8 64k; proxy_next_upstream error timeout; proxy_pass_header Server; proxy_pass_header Date;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  map $http_x_request_id $id {{ "~^[!-~]{{1,128}}$" $http_x_request_id; default $request_id; }}
  proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header X-Forwarded-For {"$proxy_add_x_forwarded_for" if self.site.limited else "$remote_addr"};
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-ID $id;
  add_header X-Request-ID $id always;
  {upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=1024; default_type "text/plain; charset=utf-8";
    {locations}
    location / {{ return {DEFAULT_STATUS} "{DEFAULT_BODY.decode()}"; }}
  }}
}}
"""

    def _location(self, lane: Lane) -> str:
        path, times = lane.path.decode(), lane.kind.timeouts
        strip = f"rewrite ^{path}/?(.*)$ /$1 break; " if lane.kind.strip_prefix else ""
        where = f"~ ^{path}(/|$)" if lane.kind.segment else path
        return (
            f"location {where} {{ {strip}proxy_pass http://{lane.name}; "
            f"proxy_connect_timeout {int(times.connect * 1000)}ms; "
            f"proxy_read_timeout {int(min(times.response, times.idle) * 1000)}ms; "
            f"proxy_send_timeout {int(times.idle * 1000)}ms; }}"
        )


_QUOTED = f'"{DEFAULT_BODY.decode()}"'


class Haproxy(Peer):
    name = "haproxy"
    lacks = _ENVELOPES

    def options(self, config: Path) -> list[str]:
        return ["-db", "-f", str(config)]

    def config(self, port: int) -> str:
        lanes = self.longest_first()
        uses = "\n".join(f"  use_backend {lane.name} if {self._condition(lane)}" for lane in lanes)
        backends = "\n".join(self._backend(lane) for lane in lanes)
        body = f"  http-request deny deny_status 413 if {{ req.body_size gt {MOST_BODY_BYTES} }}"
        return f"""
global
  nbthread 1
  maxconn {MOST_CONNECTIONS if self.site.limited else 4000}
  tune.http.maxhdr 101
  tune.bufsize 65536
defaults
  mode http
  timeout http-request 10s
  timeout client 60s
  timeout tunnel 60s
  option redispatch 1
  retries 2
  retry-on conn-failure empty-response
  http-reuse always
frontend gateway
  bind 127.0.0.1:{port}
  http-request {"add" if self.site.limited else "set"}-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
{body if self.site.limited else ""}
{uses}
  default_backend nothing
backend nothing
  timeout connect 1s
  timeout server 1s
  http-request return status {DEFAULT_STATUS} content-type "text/plain; charset=utf-8" string {_QUOTED}
{backends}
"""

    def _condition(self, lane: Lane) -> str:
        path = lane.path.decode()
        if lane.kind.segment:
            return f"{{ path {path} }} || {{ path_beg {path}/ }}"
        if not lane.host:
            return f"{{ path_beg {path} }}"
        how = "end" if lane.host.startswith("*") else "str"
        host = f"req.hdr(host),host_only,rtrim(.),lower -m {how} {lane.host.removeprefix('*')}"
        return f"{{ path_beg {path} }} {{ {host} }}"

    def _backend(self, lane: Lane) -> str:
        times = lane.kind.timeouts
        lines = [
            f"backend {lane.name}",
            "  balance random",
            f"  timeout connect {int(times.connect * 1000)}ms",
            f"  timeout server {int(min(times.response, times.idle) * 1000)}ms",
            *(f"  server s{index} 127.0.0.1:{one}" for index, one in enumerate(_ports(lane))),
        ]
        if lane.kind.strip_prefix:
            lines.insert(1, f"  http-request replace-path {lane.path.decode()}/?(.*) /\\1")
        return "\n".join(lines)


class Caddy(Peer):
    name = "caddy"

    def options(self, config: Path) -> list[str]:
        return ["run", "--adapter", "caddyfile", "--config", str(config)]

    def config(self, port: int) -> str:
        handles = "\n".join(self._handle(lane) for lane in self.longest_first())
        body = f"request_body {{\n max_size {MOST_BODY_BYTES}\n }}" if self.site.limited else ""
        trusted = "trusted_proxies static 127.0.0.1/32" if self.site.limited else ""
        return f"""
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {self.directory}
  servers {{
    timeouts {{
      read_header 10s
    }}
    max_header_size 65536
    enable_full_duplex
    {trusted}
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  {body}
  {handles}
  handle {{
    header Content-Type "text/plain; charset=utf-8"
    respond "{DEFAULT_BODY.decode()}" {DEFAULT_STATUS}
  }}
}}
"""

    def _handle(self, lane: Lane) -> str:
        path, times = lane.path.decode(), lane.kind.timeouts
        where = f"{path} {path}/*" if lane.kind.segment else f"{path}*"
        return f"""
  @{lane.name} path {where}
  handle @{lane.name} {{
    {f"uri strip_prefix {path}" if lane.kind.strip_prefix else ""}
    reverse_proxy {" ".join(f"127.0.0.1:{one}" for one in _ports(lane))} {{
      flush_interval -1
      lb_policy random
      lb_retries 2
      header_up X-Forwarded-Port {{http.request.local.port}}
      transport http {{
        compression off
        dial_timeout {int(times.connect * 1000)}ms
        response_header_timeout {int(times.response * 1000)}ms
        read_timeout {int(times.idle * 1000)}ms
        write_timeout {int(times.idle * 1000)}ms
      }}
    }}
  }}"""


class Envoy(Peer):
    name = "envoy"

    def options(self, config: Path) -> list[str]:
        return [
            "--config-path",
            str(config),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "error",
        ]

    def config(self, port: int) -> str:
        keep_spelling = {
            "stateful_formatter": {
                "name": "preserve_case",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.header_formatters"
                    ".preserve_case.v3.PreserveCaseFormatterConfig"
                },
            }
        }
        filters: list[object] = [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ]
        if self.site.limited:
            filters.insert(
                0,
                {
                    "name": "envoy.filters.http.buffer",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                        "max_request_bytes": MOST_BODY_BYTES,
                    },
                },
            )
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network"
            ".http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "use_remote_address": True,
            "append_x_forwarded_port": True,
            "server_header_transformation": "PASS_THROUGH",
            "via": "1.1 envoy",
            "preserve_external_request_id": True,
            "always_set_request_id_in_response": True,
            "normalize_path": False,
            "merge_slashes": False,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "proxy_100_continue": True,
            "max_request_headers_kb": 64,
            "request_headers_timeout": "10s",
            "stream_idle_timeout": "60s",
            "delayed_close_timeout": "0.1s",
            "common_http_protocol_options": {
                "max_headers_count": 101,
                "headers_with_underscores_action": "ALLOW",
            },
            "http_protocol_options": {
                "accept_http_10": True,
                "enable_trailers": True,
                "header_key_format": keep_spelling,
            },
            "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "echo"}],
            "http_filters": filters,
            "route_config": {
                "name": "routes",
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [*map(_envoy_route, self.longest_first()), _NO_ROUTE],
                    }
                ],
            },
        }
        listener = {
            "name": "gateway",
            "address": _envoy_address(port),
            "filter_chains": [
                {
                    "filters": [
                        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                    ]
                }
            ],
        }
        clusters = [_envoy_cluster(lane, keep_spelling) for lane in self.site.lanes]
        return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_NO_ROUTE = {
    "match": {"prefix": "/"},
    "direct_response": {"status": DEFAULT_STATUS, "body": {"inline_string": DEFAULT_BODY.decode()}},
}


def _envoy_route(lane: Lane) -> dict[str, object]:
    path = lane.path.decode()
    action: dict[str, object] = {
        "cluster": lane.name,
        "timeout": "0s",
        "idle_timeout": f"{min(lane.kind.timeouts.response, lane.kind.timeouts.idle)}s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.001s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host"
                        ".previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 5,
        },
    }
    if lane.kind.strip_prefix:
        action["regex_rewrite"] = {"pattern": {"regex": f"^{path}/?"}, "substitution": "/"}
    match = {"path_separated_prefix": path} if lane.kind.segment else {"prefix": path}
    return {"match": match, "route": action}


def _envoy_cluster(lane: Lane, keep_spelling: object) -> dict[str, object]:
    return {
        "name": lane.name,
        "type": "STATIC",
        "lb_policy": "RANDOM",
        "connect_timeout": f"{lane.kind.timeouts.connect}s",
        "load_assignment": {
            "cluster_name": lane.name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _envoy_address(one)}} for one in _ports(lane)]}
            ],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http_protocol_options": {"enable_trailers": True, "header_key_format": keep_spelling}
                },
            }
        },
    }


PEERS: dict[str, type[Peer]] = {one.name: one for one in (Nginx, Haproxy, Caddy, Envoy)}

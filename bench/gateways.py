"""The gateways, set to do the same work: keep-alive on both sides, the same fields added, no access log."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rgate.engines import ENGINES

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Site:
    """What a gateway carries: *routes* prefixes, `/api` among them, to a backend with *origins*."""

    origins: tuple[int, ...]  # ports
    routes: int = 2

    def prefixes(self) -> list[str]:
        """Return all prefixes; the first is the one that is asked for."""
        return ["/api", *(f"/service-{number:05}/v1" for number in range(1, self.routes))]


@dataclass(frozen=True)
class Gateway:
    """How one gateway is started."""

    name: str
    version: tuple[str, ...]
    command: Callable[[Site, int, Path], list[str]]
    environment: tuple[tuple[str, str], ...] = ()


def program(name: str) -> str | None:
    """Return the path of *name*, installed beside Python or on the machine."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin")


def _path(name: str) -> str:
    found = program(name)
    assert found is not None, f"{name} is not installed"
    return found


def _rgate(engine: str, workers: int) -> Callable[[Site, int, Path], list[str]]:
    def command(site: Site, port: int, directory: Path) -> list[str]:
        config = {
            "routes": [{"path_prefix": prefix, "backend": "origin"} for prefix in site.prefixes()],
            "backends": [{"name": "origin", "urls": [f"http://127.0.0.1:{one}" for one in site.origins]}],
            "stats": {"database": f"sqlite:///{directory}/rgate.db"},
            "limits": {"connections": 20000},
        }
        file = directory / "config.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        options = ["--port", str(port), "--config", str(file), "--engine", engine]
        more = ["--workers", str(workers)] if workers > 1 else []
        return [sys.executable, str(ROOT / "rgate.py"), *options, *more]

    return command


def _nginx(site: Site, port: int, directory: Path) -> list[str]:
    servers = " ".join(f"server 127.0.0.1:{one};" for one in site.origins)
    locations = "\n".join(f"location {prefix} {{ proxy_pass http://origin; }}" for prefix in site.prefixes())
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker may not write its own directory
    text = f"""
{user} daemon off; worker_processes 1; pid {directory}/pid; error_log stderr; worker_rlimit_nofile 40000;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  proxy_http_version 1.1; proxy_request_buffering off; proxy_pass_header Server; proxy_pass_header Date;
  proxy_max_temp_file_size 0; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
  proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header Via "1.1 nginx"; proxy_set_header X-Request-ID $request_id;
  add_header Via "1.1 nginx"; add_header X-Request-ID $request_id;
  upstream origin {{ random; {servers} keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
{locations}
  location / {{ return 404; }} }}
}}
"""
    return [
        _path("nginx"),
        "-c",
        _written(directory / "nginx.conf", text),
        "-p",
        str(directory),
        "-e",
        "stderr",
    ]


def _haproxy(site: Site, port: int, directory: Path) -> list[str]:
    servers = "\n".join(f"  server s{one} 127.0.0.1:{one}" for one in site.origins)
    prefixes = _written(directory / "prefixes", "\n".join(site.prefixes()) + "\n")
    text = f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 600s
  timeout server 60s
  http-reuse always
frontend gateway
  bind 127.0.0.1:{port} backlog 4096
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  http-response add-header X-Request-ID %[unique-id]
  use_backend origin if {{ path_beg -f {prefixes} }}
backend origin
  balance random
{servers}
"""
    return [_path("haproxy"), "-db", "-f", _written(directory / "haproxy.cfg", text)]


def _caddy(site: Site, port: int, directory: Path) -> list[str]:
    upstreams = " ".join(f"127.0.0.1:{one}" for one in site.origins)
    paths = " ".join(f"{prefix}*" for prefix in site.prefixes())
    text = f"""
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {directory}
}}
http://:{port} {{
  bind 127.0.0.1
  @routed path {paths}
  handle @routed {{
    header X-Request-ID {{http.request.uuid}}
    reverse_proxy {upstreams} {{
      lb_policy random
      header_up X-Forwarded-Port {{http.request.local.port}}
      header_up X-Request-ID {{http.request.uuid}}
      transport http {{
        compression off
        keepalive_idle_conns 512
        keepalive_idle_conns_per_host 512
      }}
    }}
  }}
}}
"""
    options = ["run", "--adapter", "caddyfile", "--config", _written(directory / "Caddyfile", text)]
    return [_path("caddy"), *options]


def _envoy(site: Site, port: int, directory: Path) -> list[str]:
    kind = "type.googleapis.com/envoy.extensions."
    manager = {
        "@type": kind + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "append_x_forwarded_port": True,
        "server_header_transformation": "PASS_THROUGH",
        "via": "1.1 envoy",
        "always_set_request_id_in_response": True,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": kind + "filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": prefix}, "route": {"cluster": "origin", "timeout": "0s"}}
                        for prefix in site.prefixes()
                    ],
                }
            ]
        },
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "lb_policy": "RANDOM",
        "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_requests": 20000}]},
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _envoy_address(one)}} for one in site.origins]}
            ],
        },
    }
    listener = {
        "name": "gateway",
        "address": _envoy_address(port),
        "filter_chains": [{"filters": [network_filter]}],
    }
    document = json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    return [_path("envoy"), "--config-path", _written(directory / "envoy.json", document), *options]


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _written(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def _of_rgate(engine: str, workers: int = 1) -> Gateway:
    name = f"rgate ({engine})" if workers == 1 else f"rgate ({engine}, {workers} workers)"
    return Gateway(name, (sys.executable, str(ROOT / "rgate.py"), "--version"), _rgate(engine, workers))


OURS = {engine: _of_rgate(engine) for engine in sorted(ENGINES)}
PEERS = {
    "nginx": Gateway("nginx", ("nginx", "-v"), _nginx),
    "haproxy": Gateway("haproxy", ("haproxy", "-v"), _haproxy),
    "envoy": Gateway("envoy", ("envoy", "--version"), _envoy),
    "caddy": Gateway("caddy", ("caddy", "version"), _caddy, (("GOMAXPROCS", "1"),)),
}


def workers_of(engine: str, workers: int) -> Gateway:
    """Return rgate with several workers."""
    return _of_rgate(engine, workers)

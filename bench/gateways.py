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
class Backend:
    """Where requests go whose path begins with one of *prefixes*."""

    name: str
    ports: tuple[int, ...]
    prefixes: list[str]


@dataclass(frozen=True)
class Site:
    """What a gateway carries: *routes* prefixes, `/api` among them, to a backend with *origins*.

    *attacked*: another backend, behind `/attacked`, whose responses rgate puts into envelopes. *trusted*:
    every client is a proxy whose X-Forwarded-* count. *defaults*: nginx holds content as it does by default.
    *tracing*: where rgate sends spans, and of which share of the requests.
    """

    origins: tuple[int, ...]  # ports
    routes: int = 2
    attacked: tuple[int, ...] = ()
    trusted: bool = False
    defaults: bool = False
    tracing: tuple[str, float] | None = None

    def backends(self) -> list[Backend]:
        """Return all backends; the first prefix of the first is the one that is asked for."""
        prefixes = ["/api", *(f"/service-{number:05}/v1" for number in range(1, self.routes))]
        found = [Backend("origin", self.origins, prefixes), Backend("attacked", self.attacked, ["/attacked"])]
        return [one for one in found if one.ports]


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
        config: dict[str, object] = {
            "routes": [
                {"path_prefix": prefix, "backend": backend.name}
                | ({"response_format": "envelope"} if backend.name == "attacked" else {})
                for backend in site.backends()
                for prefix in backend.prefixes
            ],
            "backends": [
                {"name": backend.name, "urls": [f"http://127.0.0.1:{one}" for one in backend.ports]}
                for backend in site.backends()
            ],
            "trusted_proxies": ["127.0.0.0/8"] if site.trusted else [],
            "stats": {"database": f"sqlite:///{directory}/rgate.db"},
            "limits": {"connections": 20000},
        }
        if site.tracing is not None:
            config["tracing"] = dict(zip(("endpoint", "sample"), site.tracing, strict=True))
        file = directory / "config.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        options = ["--port", str(port), "--config", str(file), "--engine", engine]
        more = ["--workers", str(workers)] if workers > 1 else []
        return [sys.executable, str(ROOT / "rgate.py"), *options, *more]

    return command


# By whether clients are trusted proxies, whose X-Forwarded-* go on, with one more in X-Forwarded-For.
_NGINX_CLIENT = {
    False: """
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port $server_port;""",
    True: "  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
}
_HAPROXY_CLIENT = {
    False: """
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]""",
    True: "  http-request set-header X-Forwarded-For %[req.hdr(x-forwarded-for)],%[src]",
}
_CADDY_CLIENT = {False: "header_up X-Forwarded-Port {http.request.local.port}", True: ""}
_CADDY_PROXIES = {False: "", True: "servers {\n trusted_proxies static 127.0.0.0/8\n }"}
# By whether nginx is as it is by default: all of a request's content is waited for, in a file if need be.
_NGINX_CONTENT = {
    False: """
  proxy_request_buffering off;
  proxy_max_temp_file_size 0; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;""",
    True: "",
}


def _nginx(site: Site, port: int, directory: Path) -> list[str]:
    upstreams = "\n".join(_nginx_upstream(backend) for backend in site.backends())
    locations = "\n".join(
        f"location {prefix} {{ proxy_pass http://{backend.name}; }}"
        for backend in site.backends()
        for prefix in backend.prefixes
    )
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker may not write its own directory
    text = f"""
{user} daemon off; worker_processes 1; pid {directory}/pid; error_log stderr; worker_rlimit_nofile 40000;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  proxy_http_version 1.1; proxy_pass_header Server; proxy_pass_header Date;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Host $http_host;
{_NGINX_CLIENT[site.trusted]}
{_NGINX_CONTENT[site.defaults]}
  proxy_set_header Via "1.1 nginx"; proxy_set_header X-Request-ID $request_id;
  add_header Via "1.1 nginx"; add_header X-Request-ID $request_id;
{upstreams}
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


def _nginx_upstream(backend: Backend) -> str:
    servers = " ".join(f"server 127.0.0.1:{one};" for one in backend.ports)
    return f"  upstream {backend.name} {{ random; {servers} keepalive 512; keepalive_requests 1000000000; }}"


def _haproxy(site: Site, port: int, directory: Path) -> list[str]:
    rules, backends = "", ""
    for backend in site.backends():
        prefixes = _written(directory / backend.name, "\n".join(backend.prefixes) + "\n")
        rules += f"  use_backend {backend.name} if {{ path_beg -f {prefixes} }}\n"
        backends += f"backend {backend.name}\n  balance random\n"
        backends += "".join(f"  server s{one} 127.0.0.1:{one}\n" for one in backend.ports)
    text = f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 600s
  timeout server 60s
  timeout tunnel 600s
  http-reuse always
frontend gateway
  bind 127.0.0.1:{port} backlog 4096
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
{_HAPROXY_CLIENT[site.trusted]}
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  http-response add-header X-Request-ID %[unique-id]
{rules}
{backends}
"""
    return [_path("haproxy"), "-db", "-f", _written(directory / "haproxy.cfg", text)]


def _caddy(site: Site, port: int, directory: Path) -> list[str]:
    handlers = "".join(_caddy_handler(backend, site.trusted) for backend in site.backends())
    text = f"""
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {directory}
  {_CADDY_PROXIES[site.trusted]}
}}
http://:{port} {{
  bind 127.0.0.1
{handlers}}}
"""
    options = ["run", "--adapter", "caddyfile", "--config", _written(directory / "Caddyfile", text)]
    return [_path("caddy"), *options]


def _caddy_handler(backend: Backend, trusted: bool) -> str:
    upstreams = " ".join(f"127.0.0.1:{port}" for port in backend.ports)
    paths = " ".join(f"{prefix}*" for prefix in backend.prefixes)
    return f"""
  @{backend.name} path {paths}
  handle @{backend.name} {{
    header X-Request-ID {{http.request.uuid}}
    reverse_proxy {upstreams} {{
      lb_policy random
      {_CADDY_CLIENT[trusted]}
      header_up X-Request-ID {{http.request.uuid}}
      transport http {{
        compression off
        keepalive_idle_conns 512
        keepalive_idle_conns_per_host 512
      }}
    }}
  }}
"""


def _envoy(site: Site, port: int, directory: Path) -> list[str]:
    kind = "type.googleapis.com/envoy.extensions."
    manager = {
        "@type": kind + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "xff_num_trusted_hops": int(site.trusted),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
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
                        {"match": {"prefix": prefix}, "route": {"cluster": backend.name, "timeout": "0s"}}
                        for backend in site.backends()
                        for prefix in backend.prefixes
                    ],
                }
            ]
        },
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    listener = {
        "name": "gateway",
        "address": _envoy_address(port),
        "filter_chains": [{"filters": [network_filter]}],
    }
    clusters = [_envoy_cluster(backend) for backend in site.backends()]
    document = json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    return [_path("envoy"), "--config-path", _written(directory / "envoy.json", document), *options]


def _envoy_cluster(backend: Backend) -> dict[str, object]:
    endpoints = [{"endpoint": {"address": _envoy_address(port)}} for port in backend.ports]
    return {
        "name": backend.name,
        "type": "STATIC",
        "lb_policy": "RANDOM",
        "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_requests": 20000}]},
        "load_assignment": {"cluster_name": backend.name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


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

"""The backend behind every gateway: nginx, as it answers from memory and costs least."""

import os
from pathlib import Path

JSON = '{"id": 42, "name": "a thing with a name", "price": 12.34, "tags": ["red", "green"], "stock": 12345}'
LARGE_BYTES = 1 << 20
TEN_FIELDS = {
    "Cache-Control": "max-age=60, private",
    "ETag": '\\"33a64df551425fcc55e4d42a148795d9f25f89d4\\"',
    "Set-Cookie": "session=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax",
    "Vary": "Accept-Encoding, Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def configure(ports: tuple[int, ...], directory: Path) -> list[str]:
    """Write the origin's configuration and files; return its command."""
    from bench.gateways import program

    files = directory / "files" / "api"
    files.mkdir(parents=True)
    (files / "large").write_bytes(bytes(LARGE_BYTES))
    text = JSON.replace('"', '\\"')
    fields = "\n".join(f'add_header {name} "{value}";' for name, value in TEN_FIELDS.items())
    listens = "\n".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
    config = directory / "nginx.conf"
    # As root, nginx would give its worker to a user who may not read a temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(f"""
{user} daemon off; worker_processes 1; pid {directory}/pid; error_log stderr; worker_rlimit_nofile 40000;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0; sendfile on;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; client_body_buffer_size 128k;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  default_type application/json;
  upstream itself {{ server 127.0.0.1:{ports[0]}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    {listens}
    root {directory}/files;
    location /api/json {{ return 200 "{text}"; }}
    location /api/traced {{ add_header X-Answer $request_id; return 200 "{text}"; }}
    location /api/page {{ {fields} return 200 "{text}"; }}
    location /api/upload {{ proxy_pass http://itself/api/json; proxy_pass_request_body off;
      proxy_method GET; proxy_set_header Content-Length ""; proxy_http_version 1.1;
      proxy_set_header Connection ""; }}
  }}
}}
""")
    found = program("nginx")
    if found is None:
        raise FileNotFoundError("nginx, which serves as the backend, is not installed")
    return [found, "-c", str(config), "-p", str(directory), "-e", "stderr"]

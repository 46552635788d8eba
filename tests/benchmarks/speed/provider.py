"""The provider of every case: nginx with a fixed answer where it is installed, else the simulated one."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.benchmarks.speed.process import BATCHER, environment

#: What every request is answered with: a chat completion as OpenAI writes it.
REPLY = (
    '{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1767225600,'
    '"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"'
    "The person had ate few apples in the garden, so what is left is the difference of the two numbers."
    '\\n#### 42","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":'
    '{"prompt_tokens":78,"completion_tokens":31,"total_tokens":109,"prompt_tokens_details":{"cached_tokens":0,'
    '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default"}'
)
_CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_buffer_size 64k; client_max_body_size 64m; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      default_type application/json;
      add_header x-request-id req_5a1f6e1c4d0b4f0f9c1d2e3f4a5b6c7d;
      return 200 '{reply}';
    }}
  }}
}}
"""
_PATIENCE = 10.0
#: The same from run to run where it is free: a store that is kept remembers it.
_PORT = 18_733


class Provider(Struct, frozen=True, kw_only=True):
    """Where requests go, and what answers there."""

    name: str
    base_url: str


@contextmanager
def serving(folder: Path) -> Iterator[Provider]:
    """A provider in its own process, until the block ends. It keeps its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    argv = _simulated(port) if nginx is None else [nginx, "-p", str(folder), "-c", str(_configured(folder, port))]
    with (folder / "provider.log").open("wb") as log:
        child = subprocess.Popen(argv, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            _await(port, child)
            name = "batcher simulate" if nginx is None else "nginx"
            yield Provider(name=name, base_url=f"http://127.0.0.1:{port}/v1")
        finally:
            child.terminate()
            child.wait()


def _configured(folder: Path, port: int) -> Path:
    config = folder / "nginx.conf"
    reply = REPLY.replace("\\", "\\\\").replace("$", "")
    config.write_text(_CONFIG.format(folder=folder, port=port, reply=reply))
    return config


def _simulated(port: int) -> list[str]:
    return [*BATCHER, "simulate", "--port", str(port), "--latency", "0"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the provider did not start; see {child.args!r}")

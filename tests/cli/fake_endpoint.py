# SPDX-License-Identifier: Apache-2.0
"""A chat endpoint on loopback that does what a test tells it, the worst included."""

import json
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def text_of(request):
    """The row's text, from between its marks in the last message that has any."""
    for message in reversed(request["messages"]):
        found = re.findall(r"<(text-[0-9a-f]{8})>\n(.*?)\n</\1>", message["content"], re.DOTALL)
        if found:
            return found[-1][1]
    return ""


def mood(request):
    text = text_of(request)
    return "positive" if "good" in text else "negative" if "bad" in text else "neutral"


class Endpoint:
    """`answer(request)` gives the text; `before(n, request)`, n from 0, a way to misbehave instead (a name of
    Handler.do_*'s ways, or None)."""

    def __init__(self, answer=mood, before=lambda n, request: None, embed=None, usage=True):
        self.answer, self.before, self.embed, self.usage = answer, before, embed, usage
        self.calls = []
        self.headers = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    def texts(self):
        return [text_of(c) for c in self.calls if "messages" in c]


def sse(data):
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def piece(text, finish=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, type="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stream_head(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()

    def reset(self):
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_POST(self):
        end = self.server.endpoint
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with end.lock:
            number = len(end.calls)
            end.calls.append(request)
            end.headers.append(dict(self.headers))
        self.close_connection = True
        try:
            self.answer_call(end, number, request)
        except (BrokenPipeError, ConnectionResetError, ValueError):
            pass

    def answer_call(self, end, number, request):
        way = end.before(number, request)
        if way is not None:
            return getattr(self, "way_" + way)(end, request)
        if self.path.endswith("/embeddings"):
            data = [{"index": i, "embedding": end.embed(t)} for i, t in enumerate(request["input"])]
            return self.send(200, {"data": data[::-1], "usage": {"prompt_tokens": len(data)}})
        text = end.answer(request)
        if isinstance(text, tuple):
            return self.send(*text)
        usage = {"prompt_tokens": 10, "completion_tokens": 2} if end.usage else None
        if not request.get("stream"):
            return self.send(
                200,
                {
                    "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                    "usage": usage,
                },
            )
        self.stream_head()
        half = len(text) // 2
        for data in (
            b": keep-alive\n\n",
            sse(piece(text[:half])),
            b": keep-alive\r\n\r\n",
            sse(piece(text[half:], "stop")),
            sse({"choices": [], "usage": usage}),
            sse(b"[DONE]"),
        ):
            self.wfile.write(data)

    def way_busy(self, end, request):
        self.send(429, {"error": {"message": "slow down", "type": "rate_limit"}}, Retry_After="1")

    def way_busy_for_days(self, end, request):
        self.send(429, {"error": {"message": "slow down"}}, Retry_After="86400")

    def way_broken(self, end, request):
        self.send(500, {"error": {"message": "out of order"}})

    def way_reset(self, end, request):
        self.stream_head()
        self.wfile.write(sse(piece("posi")))
        self.reset()

    def way_half_event(self, end, request):
        self.stream_head()
        self.wfile.write(sse(piece("pos")) + b'data: {"choices": [{"delta": {"con')

    def way_no_end(self, end, request):
        self.stream_head()
        self.wfile.write(sse(piece("positive")))

    def way_error_in_stream(self, end, request):
        self.stream_head()
        self.wfile.write(sse(piece("posi")) + sse({"error": {"message": "no slot", "code": 500}}))

    def way_other_json(self, end, request):
        self.send(200, {"hello": [1, 2]})

    def way_cut_json(self, end, request):
        self.send(200, b'{"choices": [{"message": {"content": "posi')

    def way_short_body(self, end, request):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "500")
        self.end_headers()
        self.wfile.write(b'{"choices": [{"message"')

    def way_no_utf8(self, end, request):
        self.stream_head()
        self.wfile.write(sse(b'{"choices": [{"delta": {"content": "\xff\xfe"}}]}') + sse(b"[DONE]"))

    def way_empty(self, end, request):
        self.send(200, b"")

    def way_garbage(self, end, request):
        self.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")

    def way_long_line(self, end, request):
        self.wfile.write(b"HTTP/1.1 200 " + b"A" * 1_000_000 + b"\r\n\r\n")

    def way_long_header(self, end, request):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"A" * 1_000_000 + b"\r\n\r\n")

    def way_many_headers(self, end, request):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000 + b"\r\n")

    def way_page(self, end, request):
        self.send(200, b"<!DOCTYPE html><html><body>Welcome</body></html>", "text/html")

    def way_gateway_page(self, end, request):
        self.send(502, b"<html><body>Bad gateway</body></html>", "text/html")

    def way_locked(self, end, request):
        self.send(401, {"error": {"message": "wrong key " + self.headers.get("Authorization", "none")}})

    def way_no_model(self, end, request):
        self.send(404, {"error": {"message": "no such model"}})

    def way_elsewhere(self, end, request):
        self.send(302, b"", Location="http://127.0.0.1:9/")

    def way_loading(self, end, request):
        self.send(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})

    def way_full(self, end, request):
        self.send(
            400,
            {
                "error": {
                    "message": "the request exceeds the available context size",
                    "type": "exceed_context_size_error",
                    "code": 400,
                }
            },
        )

    def way_silent(self, end, request):
        end.stopping.wait(20)

    def way_endless(self, end, request):
        self.stream_head()
        while not end.stopping.wait(0.02):
            self.wfile.write(sse(piece("and ")))

    def way_comments(self, end, request):
        self.stream_head()
        while not end.stopping.wait(0.02):
            self.wfile.write(b": keep-alive\n\n")

    def way_slow(self, end, request):
        time.sleep(0.5)
        end.before_slow = True
        self.send(200, {"choices": [{"message": {"content": end.answer(request)}, "finish_reason": "stop"}]})

    def way_echo_key(self, end, request):
        self.send(
            200,
            {
                "choices": [
                    {
                        "message": {"content": "negative. Key: " + self.headers["Authorization"]},
                        "finish_reason": "stop",
                    }
                ]
            },
        )


@contextmanager
def serving(endpoint):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.endpoint = endpoint
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        endpoint.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()

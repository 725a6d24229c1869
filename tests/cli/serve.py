#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente serve: the real program on loopback. What it shows of runs that grow, are cut, vanish or are named
badly, and what it refuses: other hosts, other paths, other methods, and connections that waste its time."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "report"))
import made_runs  # noqa: E402

program = sys.argv[1]


@contextmanager
def serving(folder, *flags):
    process = subprocess.Popen([program, "serve", str(folder), *flags], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, (line, process.poll(), process.stderr.read())
        yield int(re.search(r"127\.0\.0\.1:(\d+)/", line).group(1)), process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        process.stderr.close()


def raw(port, request, timeout=15):
    """What comes back for these bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def ask(port, path, method="GET", host=None, version="1.1", more=b""):
    if isinstance(path, str):
        path = path.encode()
    host = f"localhost:{port}" if host is None else host
    lines = method.encode() + b" " + path + b" HTTP/" + version.encode() + b"\r\n"
    if host:
        lines += b"Host: " + host.encode() + b"\r\n"
    answer = raw(port, lines + more + b"\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head.startswith(b"HTTP/") else 0
    headers = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers.setdefault(name.decode().lower(), []).append(value.strip().decode())
    return status, headers, body


def status_of(*words, **more):
    return ask(*words, **more)[0]


def states(port):
    status, _, body = ask(port, "/api/runs")
    assert status == 200, status
    return {r["name"]: r for r in json.loads(body)["runs"]}


def step(n, epoch=1, loss=0.5):
    return json.dumps({"type": "step", "epoch": epoch, "step": n, "lr": 0.1, "losses": {"a": loss, "b": 1.0},
                       "loss": loss, "weights": {"a": 1, "b": 1}, "ms": {"total": 1.5 + n}}) + "\n"


def epoch(n, last, best=True, value=0.7):
    return json.dumps({"type": "epoch", "epoch": n, "step": last, "train_losses": {"a": 0.5, "b": 1.0},
                       "dev": {"a": {"f1": value}, "b": {"mae": 0.2}}, "seconds": 30.0,
                       "examples_per_second": 10.0, "best": best}) + "\n"


def make_run(folder, log, epochs=10, summary=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(
        f"name: fake\nbalance:\n  method: cagrad\ntrain:\n  epochs: {epochs}\n")
    (folder / "metrics.jsonl").write_text(log)
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))


def shows_runs(folder):
    make_run(folder / "live", "".join(step(n) for n in range(1, 11)) + epoch(1, 10) + step(11, 2, 0.25))
    make_run(folder / "done", step(1) + epoch(1, 1), 1,
             {"status": "finished", "method": "uw", "steps": 1, "epochs": 1, "seconds": 3,
              "tasks": {"a": {"f1": 0.9}}})
    make_run(folder / "old", step(1))
    long_ago = time.time() - 3600
    os.utime(folder / "old/metrics.jsonl", (long_ago, long_ago))
    (folder / "no run").mkdir()
    (folder / "no run/notes.txt").write_text("hello")
    make_run(folder / "failed/seed-0", "")
    os.utime(folder / "failed/seed-0/metrics.jsonl", (long_ago, long_ago))
    (folder / "failed/seed-0.json").write_text(
        json.dumps({"seed": 0, "variant": 0, "failure": "the loss is NaN"}))
    names = ["a 'quoted' \"name\"", "<img src=x onerror=alert(1)>", "한국어 실행", "50%25", "a&b#c?d"]
    for name in names:
        make_run(folder / name, step(1))
    with serving(folder) as (port, process):
        found = states(port)
        assert set(found) == {"live", "done", "old", "failed/seed-0", *names}, found
        live = found["live"]
        assert (live["state"], live["epoch"], live["step"], live["epochs"]) == ("running", 2, 11, 10), live
        assert live["losses"] == {"a": 0.25, "b": 1.0} and live["best"]["a"] == {"f1": 0.7}, live
        assert abs(live["progress"] - 0.11) < 1e-9 and abs(live["seconds_left"] - 267) < 1e-6, live
        assert found["done"]["state"] == "finished" and found["done"]["best"]["a"]["f1"] == 0.9, found
        assert found["done"]["method"] == "uw" and found["done"]["seconds"] == 3, found["done"]
        assert found["old"]["state"] == "interrupted", found["old"]
        assert found["failed/seed-0"]["failure"] == "the loss is NaN", found["failed/seed-0"]
        for name in names:  # through the address that the list names
            status, _, body = ask(port, "/run/" + found[name]["path"])
            assert status == 200 and b"<img" not in body, (name, status)
            assert urllib.parse.unquote(found[name]["path"]) == name
        raw_name = os.fsencode(folder) + b"/bad\xff"
        os.mkdir(raw_name)
        with open(raw_name + b"/metrics.jsonl", "w") as log:
            log.write(step(1))
        assert status_of(port, "/run/bad%FF") == 200
        assert b"<script>" in ask(port, "/")[2]
        assert ask(port, "/files/no%20run/notes.txt")[2] == b"hello"

        # A page renews itself when its log has grown, and only then.
        _, _, first = ask(port, "/run/live")
        version = re.search(rb'data-live data-version="([^"]*)"', first).group(1).decode()
        assert json.loads(ask(port, "/api/run/live")[2])["version"] == version
        log = (folder / "live/metrics.jsonl").open("a")
        log.write(step(12, 2))
        log.write(step(13, 2)[:40])  # cut
        log.flush()
        now = json.loads(ask(port, "/api/run/live")[2])
        assert now["version"] != version and now["status"]["step"] == 12, now
        time.sleep(1.1)
        assert b"could not be read" not in ask(port, "/run/live")[2]
        log.write(step(13, 2)[40:])
        log.flush()
        assert json.loads(ask(port, "/api/run/live")[2])["status"]["step"] == 13
        # Cut back to a snapshot and grown past the old end.
        (folder / "live/metrics.jsonl").write_text(
            "".join(step(n) for n in range(1, 6)) + "".join(step(n, 1, 0.125) for n in range(6, 40)))
        now = json.loads(ask(port, "/api/run/live")[2])["status"]
        assert now["step"] == 39 and now["epoch"] == 1 and now["best"] == {}, now
        log.close()

        # Replaced while pages are asked for.
        stop = threading.Event()

        def replace():
            n = 0
            while not stop.is_set():
                n += 1
                other = folder / "live/.new"
                other.write_text("".join(step(i) for i in range(1, 5 + n % 50)))
                other.rename(folder / "live/metrics.jsonl")
        writer = threading.Thread(target=replace)
        writer.start()
        for _ in range(30):
            assert status_of(port, "/run/live") == 200 and status_of(port, "/api/runs") == 200
        stop.set()
        writer.join()

        # Bytes that are no log, no JSON, no YAML.
        make_run(folder / "junk", "\0\0{]\n\n" + "x" * 100000 + "\n{\"type\":\"epoch\"}\n")
        (folder / "junk/summary.json").write_bytes(b"\xff\xfe{")
        (folder / "junk/recipe.yaml").write_bytes(b"\xff: [")
        assert status_of(port, "/run/junk") == 200
        # A folder that goes while it is looked at, and one that is no run.
        for path in (folder / "live").iterdir():
            path.unlink()
        (folder / "live").rmdir()
        for path in ("/run/live", "/api/run/live", "/run/no%20run", "/run/", "/run/none", "/api", "/x"):
            assert status_of(port, path) == 404, path
        time.sleep(5.2)
        assert "live" not in states(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130


def shows_a_study(folder):
    made_runs.write_study(folder / "s", ["ew", "uw"], ["a", "b"], seeds=2, steps=10, tested=False,
                          unfinished=[("uw", 1)])
    last = folder / "s/runs/uw/seed-1.json"
    with serving(folder) as (port, _):
        found = json.loads(ask(port, "/api/runs")[2])["studies"]
        told = [(s["name"], s["state"], s["ended"], s["runs"]) for s in found]
        assert told == [("s", "interrupted", 7, 8)], found
        status, _, body = ask(port, "/study/s")
        assert status == 200 and b"7 of 8 runs so far" in body and b"/run/s/runs/uw/seed-1" in body
        version = json.loads(ask(port, "/api/study/s")[2])["version"]
        assert f'data-version="{version}"'.encode() in body
        last.write_text(json.dumps({"variant": 1, "seed": 1, "dev": {"a": {"r2": 0.53}, "b": {"r2": 0.5}}}))
        deadline = time.monotonic() + 30
        while json.loads(ask(port, "/api/study/s")[2])["version"] == version:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        while b"runs so far" in ask(port, "/study/s")[2]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert json.loads(ask(port, "/api/study/s")[2])["status"]["state"] == "finished"
    with serving(folder / "s") as (port, _):
        assert b"8 of 8" not in ask(port, "/study/")[2] and status_of(port, "/study/") == 200


def many_and_none(folder):
    with serving(folder) as (port, _):
        assert states(port) == {} and status_of(port, "/") == 200
        for i in range(500):
            make_run(folder / f"run-{i}", step(1) + epoch(1, 1))
        time.sleep(5.2)
        begin = time.monotonic()
        found = list(states(port))
        assert len(found) == 500 and found.index("run-2") < found.index("run-10"), found[:5]
        assert time.monotonic() - begin < 10
    with serving(folder / "run-7") as (port, _):  # one run
        assert list(states(port)) == ["run-7"] and status_of(port, "/run/") == 200


def refuses(folder):
    secret = folder / "secret.txt"
    secret.write_text("SECRET")
    runs = folder / "runs"
    make_run(runs / "r", step(1))
    (runs / "inside.json").write_text("{}")
    (runs / "model.safetensors").write_text("weights")
    (runs / ".hidden.json").write_text("{}")
    (runs / "good.json").symlink_to("inside.json")
    (runs / "out.txt").symlink_to(secret)
    (runs / "up").symlink_to("..")
    (runs / "loop").symlink_to("loop")
    make_run(folder / "elsewhere", step(1))
    (runs / "linked").symlink_to(folder / "elsewhere")
    (runs / "stolen").mkdir()
    (runs / "stolen/metrics.jsonl").write_text(step(1))
    (runs / "stolen/recipe.yaml").symlink_to(secret)
    os.mkfifo(runs / "pipe.txt")
    (runs / "report.html").write_text("<script>1</script>")
    with serving(runs) as (port, process):
        for host, status in [(f"localhost:{port}", 200), (f"LOCALHOST:{port}", 200),
                             (f"127.0.0.1:{port}", 200),
                             (f"[::1]:{port}", 200),
                             ("", 403), ("localhost", 403), (f"evil.example:{port}", 403),
                             (f"localhost:{port + 1}", 403),
                             (f"localhost.evil.example:{port}", 403),
                             (f"127.0.0.1.evil.example:{port}", 403), (f"localhost:{port}@evil.example", 403),
                             ("0.0.0.0:" + str(port), 403)]:
            assert status_of(port, "/", host=host) == status, host
            assert status_of(port, "/files/inside.json", host=host) == status, host
        assert status_of(port, "/", more=f"Host: localhost:{port}\r\n".encode()) == 403  # twice
        assert status_of(port, f"http://localhost:{port}/") == 400

        for path in ["/files/../secret.txt", "/files/%2e%2e/secret.txt", "/files/%2E%2e%2fsecret.txt",
                     "/../secret.txt",
                     "/files/..%2fsecret.txt", "/files/..%5csecret.txt", "/files//etc/passwd",
                     "/files/%2fetc%2fpasswd",
                     "/files/out.txt", "/files/up/secret.txt", "/files/loop/x.txt",
                     "/files/inside.json%00.txt",
                     "/files/%", "/files/%zz.json", "/run/..", "/run/%2e%2e/elsewhere", "/run/linked",
                     "/run/up/elsewhere",
                     "/api/run/linked", "/files/linked/metrics.jsonl", "/files/model.safetensors",
                     "/files/.hidden.json",
                     "/files/r/.detente-run", "/files/pipe.txt", "/files/r", "/files/", "/files",
                     "/files/" + "a/" * 40 + "x.txt", "/files/" + "a" * 5000 + ".txt", "*", "secret.txt",
                     b"/files/\xff\xfe.txt"]:
            status, _, body = ask(port, path)
            assert status in (0, 400, 404, 414), (path, status)
            assert b"SECRET" not in body and b"root:" not in body, path
        assert set(states(port)) == {"r", "stolen"}
        assert b"SECRET" not in ask(port, "/run/stolen")[2]
        assert ask(port, "/files/good.json")[::2] == (200, b"{}")
        status, headers, _ = ask(port, "/files/r/report.html")
        assert status == 302 and headers["location"] == ["/run/r"], headers

        for path in ("/", "/run/r", "/api/runs", "/files/report.html", "/nothing"):
            _, headers, _ = ask(port, path)
            assert headers["x-content-type-options"] == ["nosniff"], headers
            assert headers["cache-control"] == ["no-store"], headers
            assert len(headers["content-security-policy"]) == 1, headers
            assert "default-src 'none'" in headers["content-security-policy"][0]
            assert headers["connection"] == ["close"] and "content-encoding" not in headers
        assert ask(port, "/files/report.html")[1]["content-security-policy"][0].startswith("sandbox")

        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
            status, _, _ = ask(port, "/", method=method, more=b"Content-Length: 4\r\n\r\nabcd")
            assert status in (400, 405), (method, status)
        assert (runs / "inside.json").read_text() == "{}"
        status, headers, body = ask(port, "/files/inside.json", method="HEAD")
        assert status == 200 and headers["content-length"] == ["2"] and body == b"", (status, headers, body)
        assert status_of(port, "/", version="1.0") == 200
        assert ask(port, "/files/inside.json", more=b"Range: bytes=0-0\r\n")[::2] == (200, b"{}")
        _, headers, _ = ask(port, "/", more=b"Accept-Encoding: gzip, br\r\n")
        assert "content-encoding" not in headers, headers

        # Too much, nonsense, nothing.
        for request in [b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 200000,
                        b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % i for i in range(100000)),
                        b"\r\n" * 1000, b"\0" * 10000, b"GET /\r\n\r\n",
                        b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
                        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""]:
            begin = time.monotonic()
            answer = raw(port, request)
            assert not answer.startswith(b"HTTP/1.1 200"), answer[:80]
            assert time.monotonic() - begin < 9, request[:40]
        memory = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()).group(1))
        assert memory < 200_000, memory

        # Slow ones, silent ones and many at once keep nobody else from an answer, and are ended.
        slow = [socket.create_connection(("127.0.0.1", port), timeout=15) for _ in range(8)]
        begin = time.monotonic()
        for connection in slow:
            connection.sendall(b"GET / HTT")
        while time.monotonic() - begin < 3:
            for connection in slow:
                connection.sendall(b"P")
            assert status_of(port, "/api/runs") == 200
            time.sleep(0.3)
        for connection in slow:
            try:
                while connection.recv(1000):
                    pass
            except ConnectionResetError:
                pass
            connection.close()
        assert time.monotonic() - begin < 12
        crowd = []
        for _ in range(300):
            crowd.append(socket.socket())
            crowd[-1].setblocking(False)
            crowd[-1].connect_ex(("127.0.0.1", port))
        begin = time.monotonic()
        while True:
            try:
                if status_of(port, "/api/runs") == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() - begin < 60
            time.sleep(0.5)
        for connection in crowd:
            connection.close()
        threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
        assert threads < 25, threads

        # It listens on loopback alone. Another server takes the next port; a port by name is refused.
        entries = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        local = [e[1] for e in entries if e[1].endswith(f":{port:04X}") and e[3] == "0A"]
        assert local == [f"0100007F:{port:04X}"], local
        with serving(runs) as (other, _):
            assert other != port and status_of(other, "/") == 200
        taken = subprocess.run([program, "serve", runs, "--port", str(port)], capture_output=True,
                               text=True, timeout=20)
        assert taken.returncode == 2 and str(port) in taken.stderr, taken
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == ""
    # Threads that cannot be started, because their stacks find no room, are said.
    limits = "ulimit -s 4000000; ulimit -v 8000000"
    serve = limits + '; exec timeout 10 "$0" serve "$1" --port 0'
    short = subprocess.run(["bash", "-c", serve, program, runs], capture_output=True, text=True, timeout=20)
    assert short.returncode == 2 and "threads cannot be started" in short.stderr, short
    missing = subprocess.run([program, "serve", folder / "none"], capture_output=True, text=True, timeout=20)
    assert missing.returncode == 3 and "none" in missing.stderr, missing


for part in (shows_runs, shows_a_study, many_and_none, refuses):
    with tempfile.TemporaryDirectory() as path:
        part(Path(path))
print("ok")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detente annotate: the real program against an endpoint on loopback that misbehaves (fake_endpoint.py). What
is tried again and how often, what is kept and gone on with, what a budget stops, and where the key is not."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from annotating import KEY, TASK, annotate, calls_of, environment, make, program, rows_of, run  # noqa: E402
from fake_endpoint import Endpoint, serving, text_of  # noqa: E402
from in_one_folder import run_tests  # noqa: E402


PASSING = [
    "busy",
    "broken",
    "reset",
    "half_event",
    "no_end",
    "error_in_stream",
    "other_json",
    "cut_json",
    "short_body",
    "no_utf8",
    "empty",
    "garbage",
    "long_line",
    "long_header",
    "many_headers",
    "gateway_page",
    "loading",
]


def test_tries_again_what_may_pass(folder):
    for way in PASSING:
        end = Endpoint(before=lambda n, request: way if n == 0 else None)
        with serving(end) as url:
            out = folder / f"again-{way}.csv"
            began = time.monotonic()
            annotate(folder / "one.csv", url, out)
            assert rows_of(out)[0]["mood"] == "positive" and len(end.calls) == 2, way
            (call,) = calls_of(out)
            assert (
                len(call["tries"]) == 2 and call["tries"][0]["why"] and call["tries"][1] == {"status": 200}
            ), call
            assert way != "busy" or time.monotonic() - began >= 1, "Retry-After was not heeded"


def test_gives_up_after_so_many_tries(folder):
    for way in PASSING:
        if way == "busy":
            continue
        end = Endpoint(before=lambda n, request: way)
        with serving(end) as url:
            out = folder / f"never-{way}.csv"
            told = annotate(folder / "many.csv", url, out, "--tries", 3, "--concurrency", 1, code=3).stderr
            assert len(end.calls) == 9, (way, len(end.calls))  # three rows in turn, three tries each
            assert "tried 3 times" in told and not out.exists(), told
            assert way != "loading" or "still loading" in told, told


def test_says_at_once_what_will_not_pass(folder):
    for way, words in [
        ("page", "web page"),
        ("locked", "DETENTE_API_KEY"),
        ("no_model", "--model"),
        ("elsewhere", "leads elsewhere"),
        ("busy_for_days", "86400 s"),
    ]:
        end = Endpoint(before=lambda n, request: way)
        with serving(end) as url:
            out = folder / f"fatal-{way}.csv"
            told = annotate(folder / "many.csv", url, out, "--concurrency", 1, code=3).stderr
            assert words in told and len(end.calls) == 1, (way, told, len(end.calls))
            # Nothing to go on with, so nothing is in the way of the next try.
            assert not out.exists() and not Path(f"{out}.transcript.jsonl").exists(), way
    told = annotate(folder / "d.csv", "http://127.0.0.1:9", folder / "x.csv", "--tries", 2, code=3).stderr
    assert "is the server running" in told, told


def test_ends_what_takes_too_long(folder):
    for way, flags in [
        ("silent", ["--idle-timeout", 0.4]),
        ("endless", ["--total-timeout", 0.6]),
        ("comments", ["--total-timeout", 0.6]),
    ]:
        end = Endpoint(before=lambda n, request: way)
        with serving(end) as url:
            began = time.monotonic()
            told = annotate(folder / "one.csv", url, folder / f"long-{way}.csv", "--tries", 2, *flags, code=5)
            assert len(end.calls) == 2 and time.monotonic() - began < 18, way
            assert str(flags[0]) in told.stdout, told.stdout


def test_a_text_that_is_too_long_fails_alone(folder):
    end = Endpoint(before=lambda n, request: "full" if "bad" in text_of(request) else None)
    with serving(end) as url:
        out = folder / "full.csv"
        told = annotate(folder / "d.csv", url, out, code=5)
        assert [r["mood"] for r in rows_of(out)] == ["positive", "", "neutral"]
        assert "context" in told.stdout and len(end.calls) == 3
        annotate(folder / "d.csv", url, out, "--resume", code=5)
        assert len(end.calls) == 3  # it would fail again


def test_goes_on_after_ctrl_c_without_asking_twice(folder):
    end = Endpoint(before=lambda n, request: "slow" if n < 6 else "silent")
    out = folder / "stopped.csv"
    transcript = Path(f"{out}.transcript.jsonl")
    with serving(end) as url:
        words = [
            program,
            "annotate",
            str(folder / "many.csv"),
            *TASK,
            "--endpoint",
            url,
            "--model",
            "m",
            "--out",
            str(out),
            "--concurrency",
            "2",
        ]
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            deadline = time.monotonic() + 30
            while len(end.calls) < 8 and time.monotonic() < deadline:
                time.sleep(0.05)
            # A second process must not write between the lines of the first.
            told = annotate(folder / "many.csv", url, out, "--resume", code=2).stderr
            assert "another process" in told, told
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130, process.stderr.read()
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
        answered = [c["row"] for c in calls_of(out)]
        assert len(answered) == 6, answered
        with open(transcript, "a") as file:  # as a killed process leaves it
            file.write('{"row": 11, "task": "mo')
        asked = len(end.calls)
        end.before = lambda n, request: None
        annotate(folder / "many.csv", url, out, code=2)  # neither --resume nor --force
        annotate(folder / "many.csv", url, out, "--resume")
        assert len(end.calls) == asked + 6
        assert not {f"good {row}" for row in answered} & {text_of(c) for c in end.calls[asked:]}
        assert all(r["mood"] == "positive" for r in rows_of(out))
        annotate(folder / "many.csv", url, out, "--resume")
        assert len(end.calls) == asked + 6
        assert [c["row"] for c in calls_of(out)] == list(range(12))


def test_stops_at_the_budget(folder):
    for usage in (True, False):
        end = Endpoint(usage=usage)
        with serving(end) as url:
            out = folder / f"budget{usage}.csv"
            limit = 250 if usage else 800
            told = annotate(
                folder / "many.csv", url, out, "--budget-tokens", limit, "--concurrency", 3, "--json", code=5
            )
            result = json.loads(told.stdout)
            spent = result["prompt_tokens"] + result["answer_tokens"]
            assert 0 < spent <= limit, (spent, result)
            labelled = sum(r["mood"] != "" for r in rows_of(out))
            assert labelled == len(end.calls) == result["calls"], (labelled, len(end.calls))
            assert result["ended"] == "the budget is spent" and 0 < labelled < 12
            assert result["tasks"]["mood"]["not_reached"] == 12 - labelled
            annotate(folder / "many.csv", url, out, "--resume", "--budget-tokens", 100000)
            assert len(end.calls) == 12  # nothing twice
            assert all(r["mood"] == "positive" for r in rows_of(out))
    told = annotate(
        folder / "d.csv", "http://127.0.0.1:9", folder / "c.csv", "--budget-cost", 1, code=2
    ).stderr
    assert "--price" in told


def test_the_key_is_nowhere(folder):
    end = Endpoint(before=lambda n, request: "echo_key")
    with serving(end) as url:
        annotate(folder / "one.csv", url, folder / "echo.csv")
        assert rows_of(folder / "echo.csv")[0]["mood"] == "negative"
        assert "[key]" in (folder / "echo.csv.transcript.jsonl").read_text()
        end.before = lambda n, request: "locked"
        annotate(folder / "d.csv", url, folder / "echo.csv", "--resume", code=3)
    for path in folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    told = run(
        "annotate",
        folder / "d.csv",
        *TASK,
        "--model",
        "m",
        "--out",
        folder / "k.csv",
        "--endpoint",
        f"http://user:{KEY}@127.0.0.1:9",
        code=2,
    )
    assert "DETENTE_API_KEY" in told.stderr


if __name__ == "__main__":
    run_tests(dict(globals()), make)

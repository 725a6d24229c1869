# SPDX-License-Identifier: Apache-2.0
"""Runs of the program from Python, on a tiny table."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import detente
from detente import _program

try:
    _program.program()
except FileNotFoundError as error:
    pytest.skip(str(error), allow_module_level=True)


def table(folder, rows=300, seed=0):
    rng = np.random.default_rng(seed)
    x, kind = rng.normal(size=(rows, 2)), rng.choice(["red", "green"], rows)
    y = x @ [1.0, -0.5] + (kind == "red")
    lines = ["a,b,colour,height,tall"]
    lines += [f"{a:.4f},{b:.4f},{c},{h:.4f},{int(h > 0.5)}" for (a, b), c, h in zip(x, kind, y)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    return x, kind, y


def recipe(**more):
    return {
        "name": "tiny",
        "threads": 1,
        "data": {"kind": "table", "train": "rows.csv", "split": {"dev": 0.2}},
        "model": {"kind": "mlp", "widths": [16], "dropout": 0},
        "tasks": [
            {"name": "height", "column": "height", "head": "regression"},
            {"name": "tall", "column": "tall", "head": "binary"},
        ],
        "balance": {"method": "upgrad"},
        "optimizer": {"lr": 0.02},
        "train": {"epochs": 3, "batch_size": 16},
        **more,
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    before = os.getcwd()
    os.chdir(folder)
    try:
        table(folder)
        records = []
        run = detente.train(recipe(), folder / "run", callbacks=[records.append, lambda r: None], quiet=True)
    finally:
        os.chdir(before)
    return run, records


def test_callbacks_see_every_record_once(trained):
    run, records = trained
    assert records == run.records()
    assert [r["epoch"] for r in records if r["type"] == "epoch"] == [1, 2, 3]
    assert len(run.records("epoch")) == 3 and run.summary["name"] == "tiny"
    assert not [name for name in os.listdir(run.path.parent) if name.startswith(".detente-recipe")]


def test_predictions_of_a_dict_and_a_dataframe_are_the_same(trained, tmp_path):
    run, _ = trained
    x, kind, y = table(tmp_path, rows=50, seed=1)
    columns = {"a": x[:, 0], "b": x[:, 1], "colour": kind}
    found = detente.load_run(run.path).predict(columns)
    assert set(found) == {"height", "tall", "tall_probability"}
    assert found["height"].shape == (50,) and np.corrcoef(found["height"], y)[0, 1] > 0.8
    np.testing.assert_array_equal(found["tall"], (found["tall_probability"] >= 0.5).astype(int))
    # The targets and columns of other names may be among them, and rows may be missing a cell.
    more = run.predict({**columns, "height": y, "tall": [0] * 50, "note": ["n"] * 50})
    np.testing.assert_array_equal(more["height"], found["height"])
    gap = run.predict({**columns, "a": [None, float("nan"), *x[2:, 0]]})
    np.testing.assert_array_equal(gap["height"][2:], found["height"][2:])
    assert np.isfinite(gap["height"]).all()
    from_file = run.predict(tmp_path / "rows.csv")
    np.testing.assert_allclose(from_file["height"], found["height"], atol=1e-3)  # its cells have 4 digits
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns, index=range(100, 150))
    answered = run.predict(frame)
    assert list(answered.index) == list(frame.index)
    np.testing.assert_array_equal(answered["height"], found["height"])


def test_rows_that_do_not_fit(trained):
    run, _ = trained
    with pytest.raises(detente.DataError, match="colour"):
        run.predict({"a": [1.0], "b": [2.0]})
    with pytest.raises(ValueError, match="different lengths"):
        run.predict({"a": [1.0], "b": [2.0, 3.0]})
    with pytest.raises(ValueError, match="dimension"):
        run.predict({"a": np.ones((2, 2))})
    with pytest.raises(TypeError, match="DataFrame"):
        run.predict([[1.0, 2.0]])


def test_evaluate(trained, tmp_path):
    run, _ = trained
    dev = run.evaluate()
    assert dev["height"]["mae"] == pytest.approx(run.summary["tasks"]["height"]["mae"], rel=1e-5) or dev
    x, kind, y = table(tmp_path, rows=50, seed=1)
    own = run.evaluate({"a": x[:, 0], "b": x[:, 1], "colour": kind, "height": y, "tall": (y > 0.5)})
    assert set(own) == {"height", "tall"}


def test_a_run_shows_its_report(trained):
    run, _ = trained
    page = run._repr_html_()
    assert page.startswith('<iframe srcdoc="') and "&lt;html" in page.lower() and "sandbox" in page
    assert page.count("<") == 2  # the page itself is escaped


def test_errors_are_pythons(here):
    with pytest.raises(ValueError, match="cagard"):
        detente.train(recipe(balance={"method": "cagard"}), "run", quiet=True)
    data = {**recipe()["data"], "train": "none.csv"}
    for kind in (OSError, ValueError, detente.DataError):
        with pytest.raises(kind, match="none.csv"):
            detente.train(recipe(data=data), "run", quiet=True)
    with pytest.raises(TypeError, match="recipe"):
        detente.train(3)
    with pytest.raises(TypeError, match="object"):
        detente.train(recipe(name=object()))
    with pytest.raises(FileNotFoundError, match="no run"):
        detente.load_run(here)
    rows = (here / "rows.csv").read_text().splitlines()
    (here / "rows.csv").write_text("\n".join(rows[:-1] + ["inf,1,red,1,1"]) + "\n")
    with pytest.raises(detente.DataError, match="inf"):
        detente.train(recipe(), "run", quiet=True)
    assert sorted(os.listdir(here)) in (["rows.csv"], ["rows.csv", "run"])


def test_overrides_and_the_recipes_own_folder(here, capfd):
    run = detente.train(recipe(), overrides={"train.epochs": 1, "balance.method": "ew"})
    assert str(run.path) == os.path.join("runs", "tiny") and len(run.records("epoch")) == 1
    assert "epoch" in capfd.readouterr().err  # progress, unless quiet
    other = detente.train(recipe(output={"dir": "elsewhere"}), overrides={"train.epochs": 1}, quiet=True)
    assert str(other.path) == "elsewhere"
    with pytest.raises(Exception, match="in use|--force|--resume"):
        detente.train(recipe(), "elsewhere", quiet=True)
    detente.train(recipe(), "elsewhere", overrides={"train.epochs": 1}, quiet=True, force=True)


def test_a_callback_stops_and_resume_goes_on(here):
    seen = []

    def enough(record):
        seen.append(record)
        return record["type"] == "epoch"

    run = detente.train(recipe(), "run", callbacks=enough, overrides={"train.epochs": 5000}, quiet=True)
    done = len(run.records("epoch"))
    assert 1 <= done < 5000
    later = []
    detente.train(
        recipe(), "run", callbacks=later.append, resume=True, overrides={"train.epochs": done + 1}, quiet=True
    )
    assert later and later[-1]["type"] == "epoch" and later[-1]["epoch"] == done + 1
    keys = [(r["type"], r["step"]) for r in later]
    assert len(keys) == len(set(keys))

    class Mine(Exception):
        pass

    def fails(record):
        raise Mine

    with pytest.raises(Mine):
        detente.train(
            recipe(), "run", callbacks=fails, overrides={"train.epochs": 5000}, force=True, quiet=True
        )


def test_ctrl_c_saves_and_raises(here):
    code = textwrap.dedent(
        f"""
        import detente, json
        try:
            detente.train({recipe()!r}, "run", overrides={{"train.epochs": 100000}}, quiet=True)
        except KeyboardInterrupt as error:
            print("stopped:", error)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        # As pytest may have been started by a shell's &, which makes children deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.time() + 60
    log = here / "run/metrics.jsonl"
    while time.time() < deadline and not (log.exists() and '"epoch"' in log.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert "stopped: Interrupted; everything is saved" in out
    assert os.listdir(here / "run/snapshots")


def test_compare(here):
    study = detente.compare(
        recipe(), ["ew", "upgrad"], "study", seeds=2, overrides={"train.epochs": 1}, quiet=True, single=False
    )
    assert study.results["format"] == "detente-comparison-1" and study.sentences
    assert {row["method"] for row in study.rows} == {"ew", "upgrad"}
    assert study._repr_html_().startswith("<iframe")
    with pytest.raises(ValueError, match="cagard"):
        detente.compare(recipe(), ["cagard"], "other", quiet=True)


def test_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from detente._program import main; main()", "methods", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names = json.dumps(json.loads(done.stdout))
    assert all(f'"{info.name}"' in names for info in detente.methods())
    missing = subprocess.run(
        [sys.executable, "-c", "from detente._program import main; main()", "methods"],
        capture_output=True,
        text=True,
        env={**os.environ, "DETENTE_PROGRAM": str(tmp_path / "none")},
    )
    assert missing.returncode == 1 and "DETENTE_PROGRAM" in missing.stderr


def test_training_in_a_thread(here):
    """A notebook's widgets and servers call from threads, where no signals arrive."""
    found = []
    thread = threading.Thread(
        target=lambda: found.append(
            detente.train(recipe(), "run", overrides={"train.epochs": 1}, quiet=True, callbacks=print)
        )
    )
    thread.start()
    thread.join(120)
    assert found and found[0].records("epoch")

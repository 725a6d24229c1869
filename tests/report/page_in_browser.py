#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages of runs and studies in a real browser: page_in_browser.py PAGE_MAKER [FOLDER-FOR-PICTURES]

Expected values are computed here from the numbers that the made runs consist of, not from the page. Each
page is opened in both themes and at two widths: nothing may be asked of the network, written to the
console or wider than the window; values must be there to read with pointer and keys."""
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import made_runs

MAKER = sys.argv[1]
PICTURES = Path(sys.argv[2]) if len(sys.argv) > 2 else None
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
HANGUL = "점수 예측"

FIGURE = """(title => [...document.querySelectorAll("figure")].find(
    f => f.querySelector("h3").textContent === title))"""


def make(what, folder):
    subprocess.run([MAKER, what, str(folder)], check=True)
    return folder / ("report.html" if what == "run" else "comparison.html")


def figure(page, title):
    """Scrolled into view and focused."""
    found = page.run(f"""(f => {{ if (!f) return false; f.scrollIntoView({{block: "center"}});
        f.querySelector(".plot").focus(); return document.activeElement === f.querySelector(".plot")
        }})({FIGURE}({json.dumps(title)}))""")
    assert found, f"no figure '{title}' that takes the focus"


def heard(page):
    return page.run("document.getElementById('live').textContent")


def shown(page):
    return page.run("[...document.querySelectorAll('.tip')].map(t => t.textContent).join(' / ')")


def read(page, *keys):
    for key in keys:
        page.press(key)
    return heard(page)


def close(words, expected, digits=4):
    """The first number that stands by itself behind the colon is the expected one, to so many digits."""
    found = float(re.search(r"(?<= )-?\d[\d.]*(e-?\d+)?(?=[ ;]|$)", words[words.index(": "):]).group())
    allowed = 1.1 * 10 ** (math.floor(math.log10(abs(expected) or 1)) - digits + 1)
    assert abs(found - expected) <= allowed, (words, expected)


def look_everywhere(chromium, address, name):
    for width in (1200, 390):
        for dark in (False, True):
            page = chromium.open(address, width, dark)
            where = f"{name}, {width} px, {'dark' if dark else 'light'}"
            assert page.requests == [address], (where, page.requests)
            assert not page.complaints, (where, page.complaints)
            wide = page.run("(r => r.scrollWidth - r.clientWidth)(document.documentElement)")
            assert wide <= 0, f"{where}: {wide} px wider than the window"
            ground = page.run("getComputedStyle(document.body).backgroundColor")
            ink = page.run("getComputedStyle(document.querySelector('h1')).color")
            bright = [sum(map(int, re.findall(r"\d+", c)[:3])) for c in (ground, ink)]
            assert (bright[0] < bright[1]) == dark, (where, ground, ink)
            # Letters of pictures stand out from the ground in either theme; white ones are on cells.
            letters = "figure svg > text:not([fill='#ffffff'])"
            for fill in page.run(f"""[...new Set([...document.querySelectorAll("{letters}")]
                    .map(text => getComputedStyle(text).fill))]"""):
                light = sum(map(int, re.findall(r"\d+", fill)[:3]))
                assert abs(light - bright[0]) > 200, (where, fill, ground)
            outside = "img, script[src], link, iframe, object, embed"
            assert page.run(f"document.querySelectorAll('{outside}').length") == 0, where
            if PICTURES:
                page.picture(PICTURES / f"{name}-{width}-{'dark' if dark else 'light'}.png")
            page.close()


def check_run(chromium, root):
    tasks = ["score", HOSTILE, HANGUL]
    dev, cosines = made_runs.write_run(root / "run", tasks, steps=200, epochs=4)
    address = make("run", root / "run").as_uri()
    look_everywhere(chromium, address, "run")
    page = chromium.open(address)
    body = page.run("document.body.innerText")
    for words in ("cagrad", HANGUL, HOSTILE, "LibTorch 2.13.0", "A Processor <7> & \"Co\"",
                  "detente train run/recipe.yaml --out run-again", "12.50 ms"):
        assert words in body, words
    cells = page.run("[...document.querySelectorAll('td')].map(t => t.textContent)")
    for task in tasks:
        assert f"{dev[-1][task]['r2']:.4f}" in cells, (task, cells)

    # Dev scores: Home is the first epoch, the right arrow goes on, End is the last one.
    figure(page, "Dev scores: score")
    assert read(page, "Home").startswith("epoch 1: r2 "), heard(page)
    close(heard(page), dev[0]["score"]["r2"])
    read(page, "ArrowRight")
    close(heard(page), dev[1]["score"]["r2"])
    read(page, "End")
    close(heard(page), dev[3]["score"]["r2"])
    assert shown(page).startswith("epoch 4"), shown(page)
    read(page, "ArrowRight")  # stays at the end
    assert heard(page).startswith("epoch 4"), heard(page)
    read(page, "Escape")
    assert heard(page) == "" and shown(page) == "", (heard(page), shown(page))

    # Conflict over time: rows are pairs, the most opposed first; columns spans of five steps.
    order = sorted(cosines, key=lambda pair: statistics.mean(cosines[pair]))
    figure(page, "Conflict over time")
    read(page, "Home")
    assert order[0].replace("|", " · ") in heard(page) and "step 1 to 5" in heard(page), heard(page)
    close(heard(page).split(", step")[1], statistics.mean(cosines[order[0]][:5]))
    read(page, "ArrowDown", "End", "ArrowLeft")
    assert order[1].replace("|", " · ") in heard(page) and "step 191 to 195" in heard(page), heard(page)
    close(heard(page).split(", step")[1], statistics.mean(cosines[order[1]][190:195]))

    # The mark is on the cell that is read: the last but one of forty, in the second row.
    sides = page.run("""(m => { const f = m.closest("figure"),
        d = JSON.parse(f.querySelector("script").textContent), v = n => +m.getAttribute(n);
        return [(v("x") - d.r[0]) / d.r[2], (v("y") - d.r[1]) / d.r[3], v("width") / d.r[2]] })
        (document.querySelector(".mark"))""")
    assert all(abs(a - b) < 1e-3 for a, b in zip(sides, (38 / 40, 1 / 3, 1 / 40))), sides

    # Layers: the second group is 0.2 less.
    every_tenth = [statistics.mean(cosines[pair][s] for pair in cosines) for s in range(9, 200, 10)]
    figure(page, "Conflict per layer over time")
    read(page, "Home")
    assert heard(page).startswith("trunk, step 1 to 10"), heard(page)
    close(heard(page).split(", step")[1], every_tenth[0], 3)
    read(page, "ArrowDown", "End")
    assert heard(page).startswith("layers.0, step 191 to 200"), heard(page)
    close(heard(page).split(", step")[1], every_tenth[-1] - 0.2, 3)

    # The pointer reads the same cells.
    read(page, "Escape")
    place = page.run(f"""(f => {{ f.scrollIntoView({{block: "center"}});
        const svg = f.querySelector("svg"), d = JSON.parse(f.querySelector("script").textContent),
        b = svg.getBoundingClientRect(), k = b.width / svg.viewBox.baseVal.width;
        return [b.left + (d.r[0] + d.r[2] - 2) * k, b.top + (d.r[1] + 2) * k] }})
        ({FIGURE}("Conflict over time"))""")
    page.move(*place)
    assert order[0].replace("|", " · ") in shown(page) and "step 196 to 200" in shown(page), shown(page)
    page.move(2, 2)
    assert shown(page) == "", shown(page)

    # Each figure can be reached and read by keys alone.
    titles = "[...document.querySelectorAll('figure[data-read] h3')].map(h => h.textContent)"
    for title in page.run(titles):
        figure(page, title)
        first = read(page, "ArrowRight")
        assert re.search(r"\d|none", first), (title, first)
        # What was read elsewhere is gone.
        assert page.run("document.querySelectorAll('.tip').length") == 1, title
    assert not page.complaints, page.complaints
    page.close()


def check_odd_runs(chromium, root):
    for name, tasks, more in [
            ("one-step", ["a", "b"], {"steps": 1, "epochs": 1, "diagnose_every": 1}),
            ("nothing", ["a", "b", "c"], {"steps": 40, "epochs": 2, "broken": True}),
            ("interrupted", ["a", "b"],
             {"steps": 15, "epochs": 0, "status": "interrupted", "best_epoch": 0}),
            ("one-task", ["a"], {"steps": 30}),
            ("fifty", [f"task{k}" for k in range(50)], {"steps": 60, "epochs": 2})]:
        made_runs.write_run(root / name, tasks, **more)
        look_everywhere(chromium, make("run", root / name).as_uri(), name)
    page = chromium.open((root / "interrupted/report.html").as_uri())
    assert "interrupted after step 15" in page.run("document.body.innerText")
    page.close()


def check_study(chromium, root):
    methods = ["ew", "uw", "cagrad[c=0.2]"]
    tasks = ["a", HOSTILE, HANGUL]
    values = made_runs.write_study(root / "study", methods, tasks, seeds=3, epochs=3, failed=[("uw", 1)])
    address = make("study", root / "study").as_uri()
    look_everywhere(chromium, address, "study")
    page = chromium.open(address)
    body = page.run("document.body.innerText")
    for words in ("uw, seed 1: ended with <exit code> 1: \"no memory\"", "measured on test rows", HOSTILE,
                  HANGUL, "detente compare made.yaml --out study", "Training rows (11,124)"):
        assert words in body, words

    links = page.run("[...document.querySelectorAll('.links a')].map(a => a.href)")
    assert len(links) == 3 * (len(methods) + len(tasks)) and all(
        Path(unquote(urlsplit(link).path)).is_file() for link in links), links

    # Intervals: down goes from the baseline to the methods; the failed run is left out.
    figure(page, "a: r2")
    read(page, "ArrowDown")
    assert heard(page).startswith("single: "), heard(page)
    close(heard(page), statistics.mean(values["single", "a"]))
    read(page, "ArrowDown", "ArrowDown")
    known = [v for v in values["uw", "a"] if v is not None]
    assert heard(page).startswith("uw: ") and len(known) == 2, heard(page)
    close(heard(page), statistics.mean(known))
    half = 12.706 * statistics.stdev(known) / math.sqrt(2)  # Student's t with one degree of freedom
    low = float(re.search(r"95 %: (\S+) to", heard(page)).group(1))
    assert abs(low - (statistics.mean(known) - half)) < 1e-3 * max(1, abs(low)), (heard(page), half)

    # Seed bands: the mean of the seeds, from the lowest to the highest.
    figure(page, "a: r2 on validation")
    words = read(page, "End")
    levels = [0.5 + 0.01 * seed for seed in range(3)]
    match = re.search(r"epoch 3: ew ([\d.]+) \(([\d.]+) to ([\d.]+)\)", words)
    found = [float(match.group(i)) for i in (1, 2, 3)]
    expected = [statistics.mean(levels), levels[0], levels[2]]
    assert all(abs(f - e) < 1e-4 for f, e in zip(found, expected)), words

    # Trade-off: each method is there with both means, and who is dominated is said.
    mean = {key: statistics.mean(v for v in vs if v is not None) for key, vs in values.items()}
    figure(page, f"a against {HANGUL}")
    page.press("Home")
    told = []
    for _ in range(len(methods) + 1):
        told.append(heard(page))
        page.press("ArrowRight")
    for method in methods:
        own = [mean[method, "a"], mean[method, HANGUL]]
        words = next(w for w in told if w.startswith(method))
        numbers = [float(x) for x in re.findall(r" (-?\d[\d.]*) \(95 %", words)]
        assert all(abs(n - o) < 1e-4 for n, o in zip(numbers, own)), (words, own)
        beaten = any(mean[other, "a"] >= own[0] and mean[other, HANGUL] >= own[1] and other != method
                     for other in methods)
        assert ("(dominated)" in words) == beaten, (words, mean)

    figure(page, "Most memory held")
    close(read(page, "Home"), 520)
    figure(page, "Time per step")
    close(read(page, "End"), 14.5)
    assert not page.complaints, page.complaints
    page.close()

    made_runs.write_study(root / "small", ["ew", "uw"], ["a", "b"], seeds=1, tested=False, single=False,
                          unfinished=[("uw", 0)])
    address = make("study", root / "small").as_uri()
    look_everywhere(chromium, address, "small")
    page = chromium.open(address)
    body = page.run("document.body.innerText")
    assert "One seed: no intervals" in body and "a little too good" in body, body
    page.close()
    made_runs.write_study(root / "large", made_runs.METHODS[:12], [f"task{k}" for k in range(8)],
                          steps=20, failed=[("dwa", seed) for seed in range(3)])
    look_everywhere(chromium, make("study", root / "large").as_uri(), "large")


def main():
    program = browser.find()
    if program is None:
        print("skipped: no chromium is installed (apt-get install chromium)")
        return 77
    if PICTURES:
        PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser.Browser(program) as chromium:
        root = Path(folder)
        for check in (check_run, check_odd_runs, check_study):
            check(chromium, root)
            print(f"{check.__name__}: as expected", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole slides: the real program and its workers beside openslide-python, on slides that are made here.
Arguments: the program, that of tests/slides/reader_program.cpp. 77 where NumPy, Pillow or OpenSlide are not
there."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
try:
    import numpy as np
    import PIL.Image
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
try:
    import openslide  # with openslide_bin, which it prefers, or the system's library
except Exception as error:  # where there is no library, a ModuleNotFoundError of several lines
    openslide = None
    print(f"no openslide-python, so no comparison with it: {error!s:.100}")
from in_one_folder import run_tests  # noqa: E402
from made_slides import (  # noqa: E402
    COMPRESSIONS,
    LONG,
    Tiff,
    aperio,
    common_entries,
    half,
    tissue,
    write_slide,
)
from slide_reader import Reader  # noqa: E402

program, reader_program = sys.argv[1], sys.argv[2]
del sys.argv[2]  # run_tests looks for names behind the first
# The same library for both, where openslide-python has one of its own.
if openslide is not None and "DETENTE_OPENSLIDE" not in os.environ:
    try:
        import openslide_bin

        os.environ["DETENTE_OPENSLIDE"] = str(Path(openslide_bin.__file__).parent / "libopenslide.so.1")
    except ImportError:
        pass


def run(*words, code=0, timeout=120, **more):
    done = subprocess.run(
        [program, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **more},
    )
    assert done.returncode == code, (done.returncode, code, done.stdout, done.stderr)
    return done


def json_of(*words, **more):
    return json.loads(run(*words, "--json", **more).stdout)


def pixels(answer):
    kind, content = answer
    assert kind == "P", answer
    wide, high, values = content
    return np.frombuffer(values, np.uint8).reshape(high, wide, 3)


def rss_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError(pid)


def parts(size, out):
    """How much of each of `size` pixels lies in each of `out`, in out-ths of a pixel: (out, size)."""
    edges = np.arange(out + 1)[:, None] * size
    ends = np.minimum(np.arange(1, size + 1) * out, edges[1:])
    return np.clip(ends - np.maximum(np.arange(size) * out, edges[:-1]), 0, None)


def mean_over_areas(picture, high, wide, size=None):
    """Exact, halves upwards: the sums are whole numbers below 2^53. White follows up to `size` (h, w)."""
    h, w = size or picture.shape[:2]
    down, across = parts(h, high)[:, : picture.shape[0]], parts(w, wide)[:, : picture.shape[1]]
    rows = np.tensordot(down.astype(float), 255.0 - picture, axes=1)
    sums = 255 * h * w - np.tensordot(rows, across.astype(float), axes=([1], [1])).transpose(0, 2, 1)
    return ((2 * sums.astype(np.int64) + h * w) // (2 * h * w)).astype(np.uint8)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def over_white(slide, x, y, level, size):
    """The pixels, and which of them are there in part: those openslide-python cuts where ours are rounded."""
    part = np.array(slide.read_region((x, y), level, size))
    partly = (part[..., 3:] > 0) & (part[..., 3:] < 255)
    return np.where(part[..., 3:] == 0, 255, part[..., :3]).astype(int), partly


def make(folder):
    picture = tissue(701, 523, 1)
    folder.joinpath("slides").mkdir()
    beside = {"thumbnail": picture[::8, ::8], "label": picture[:50, :60], "macro": picture[:40, :90]}
    for compression in COMPRESSIONS:
        write_slide(folder / f"slides/{compression}.tiff", picture, 3, 64, compression, mpp=0.5)
        write_slide(
            folder / f"slides/{compression}.svs",
            picture,
            3,
            64,
            compression,
            description=aperio(),
            beside=beside,
        )
    # Tiles whose side is no power of two.
    write_slide(folder / "slides/odd.tiff", picture[:33, :147], 2, 48, "deflate")


def test_pixels_are_those_of_openslide_python(folder):
    if openslide is None:
        return
    dice = random.Random(5)
    reader = Reader(reader_program, workers=2)
    regions, expected, cut = [], [], 0
    for path in sorted(folder.joinpath("slides").iterdir()):
        slide = openslide.OpenSlide(str(path))
        wide, high = slide.dimensions
        for _ in range(40):
            level = dice.randrange(slide.level_count)
            x, y = dice.randrange(-100, wide + 50), dice.randrange(-100, high + 50)
            size = dice.randrange(1, 200), dice.randrange(1, 200)
            regions.append((path, x, y, level, *size))
            expected.append(over_white(slide, x, y, level, size))
    answers, counts = reader.pictures(regions)
    for region, answer, (wanted, partly) in zip(regions, answers, expected):
        apart = pixels(answer) - wanted
        assert np.all(apart[~partly[..., 0]] == 0) and np.all((apart == 0) | (apart == 1)), region
        cut += int(np.sum(partly))
    print("pixels that are there in part:", cut, "in", len(regions), "regions")
    assert counts["bad"] == {} and counts["restarts"] == 0 and counts["pictures"] == len(regions), counts
    assert reader.close() == 0


def test_what_is_written_comes_back(folder):
    reader = Reader(reader_program)
    picture = tissue(701, 523, 1)
    for name in ("none.tiff", "deflate.svs"):
        level = picture
        for i in range(3):
            high, wide = level.shape[:2]
            ((answer,), _) = reader.pictures([(folder / "slides" / name, 0, 0, i, wide, high)])
            assert np.array_equal(pixels(answer), level), (name, i)
            level = half(level)
    assert reader.close() == 0


def test_smaller_pictures_are_means_over_areas(folder):
    dice = random.Random(6)
    reader = Reader(reader_program)
    picture = tissue(701, 523, 1)
    regions, expected = [], []
    for _ in range(40):
        wide, high = dice.randrange(1, 300), dice.randrange(1, 300)
        x, y = dice.randrange(701 - wide), dice.randrange(523 - high)
        out = dice.randrange(1, wide + 1), dice.randrange(1, high + 1)
        regions.append((folder / "slides/deflate.tiff", x, y, 0, wide, high, *out))
        expected.append(mean_over_areas(picture[y : y + high, x : x + wide], out[1], out[0]))
    # Larger than one block and one strip of the worker.
    regions.append((folder / "slides/deflate.tiff", 0, 0, 0, 9001, 8200, 61, 57))
    expected.append(mean_over_areas(picture, 57, 61, (8200, 9001)))
    answers, _ = reader.pictures(regions)
    for region, answer, wanted in zip(regions, answers, expected):
        assert np.array_equal(pixels(answer), wanted), region
    assert reader.close() == 0


def test_memory_is_flat_over_ten_thousand_tiles(folder):
    dice = random.Random(7)
    paths = [folder / "slides" / f"{c}.{ending}" for c in COMPRESSIONS for ending in ("tiff", "svs")]
    reader = Reader(reader_program, workers=2)
    sizes = []
    for _ in range(4):
        regions = [
            (dice.choice(paths), dice.randrange(600), dice.randrange(500), 0, 64, 64) for _ in range(3000)
        ]
        answers, counts = reader.pictures(regions)
        assert all(kind == "P" for kind, _ in answers)
        sizes.append([rss_mib(pid) for pid in (reader.process.pid, *sorted(counts["processes"]))])
    assert len(sizes[0]) == 3, sizes
    for first, last in zip(sizes[0], sizes[-1]):
        assert last < first + 4, sizes
    assert counts["pictures"] == 12000 and counts["opened"] <= 12, counts
    print("MiB after 3000 and 12000 tiles, reader and workers:", sizes[0], sizes[-1])
    assert reader.close() == 0


def test_forty_slides_have_thirty_two_handles(folder):
    many = folder / "many"
    many.mkdir()
    source = (folder / "slides/deflate.tiff").read_bytes()
    paths = [many / f"{i}.tiff" for i in range(40)]
    for path in paths:
        path.write_bytes(source)
    reader = Reader(reader_program, handles=32)
    _, counts = reader.pictures([(path, 0, 0, 0, 8, 8) for path in paths[:32] for _ in range(3)])
    assert counts["opened"] == 32 and counts["reused"] == 64, counts
    _, counts = reader.pictures([(path, 0, 0, 0, 8, 8) for path in paths for _ in range(3)])
    # The eight that are new push out the eight used longest ago, one by one: 32 first ones are there again.
    assert counts["opened"] == 40 and counts["reused"] == 64 + 32 * 3 + 8 * 2, counts
    descriptors = os.listdir(f"/proc/{counts['processes'][0]}/fd")
    assert len(descriptors) < 120, len(descriptors)
    assert reader.close() == 0


def test_a_killed_worker_costs_nothing(folder):
    reader = Reader(reader_program, workers=2)
    regions = [(folder / "slides/jpeg.svs", 3 * i, 2 * i, 0, 100, 100) for i in range(150)]
    whole, counts = reader.pictures(regions)
    for pid in counts["processes"]:
        os.kill(pid, signal.SIGKILL)
    again, counts = reader.pictures(regions)
    assert again == whole and counts["bad"] == {} and 1 <= counts["restarts"] <= 2, counts
    children = counts["processes"]
    reader.process.kill()
    reader.process.wait(10)
    for _ in range(200):
        if not any(map(lives, children)):
            break
        time.sleep(0.02)
    else:
        raise AssertionError("workers outlive the process that they work for")


def test_what_a_file_declares_costs_the_caller_nothing(folder):
    """Sizes beyond any memory, a hundred levels, megabytes of words: answered or refused within limits."""
    bombs = folder / "bombs"
    bombs.mkdir()
    picture = tissue(70, 50, 1)

    def declared(name, wide, high, tile, count=1, **more):
        tiff = Tiff(bombs / name)
        for _ in range(count):
            ((place, size),) = tiff.data([bytes(3072)])
            entries = [e for e in common_entries(picture, "none", None, None, 0) if e[0] not in (256, 257)]
            entries += [(256, LONG, [wide]), (257, LONG, [high]), (322, LONG, [tile]), (323, LONG, [tile])]
            tiles = more.get("tiles", 1)
            tiff.directory([*entries, (324, LONG, [place] * tiles), (325, LONG, [size] * tiles)])
        tiff.close()

    declared("wide.tiff", 2**31 - 1, 2**31 - 1, 32)
    declared("large tile.tiff", 2**30, 2**30, 2**30)
    declared("one tile.tiff", 60000, 60000, 60000 // 16 * 16 + 16)
    declared("levels.tiff", 32, 32, 32, count=100)
    declared("many tiles.tiff", 32 * 5000, 32 * 50, 32, tiles=5000 * 50)
    write_slide(bombs / "words.svs", picture, tile=32, description=aperio() + "|x = " + "y" * 5_000_000)
    pairs = "".join(f"|key{i} = {'z' * 100}" for i in range(50_000))
    write_slide(bombs / "pairs.svs", picture, tile=32, description=aperio() + pairs)
    reader = Reader(reader_program, seconds=10)
    paths = sorted(bombs.iterdir())
    infos = {path.name: reader.info(path) for path in paths}
    answers, counts = reader.pictures([(path, 0, 0, 0, 64, 64) for path in paths])
    print({name: kind for name, (kind, _) in infos.items()}, [kind for kind, _ in answers])
    assert rss_mib(reader.process.pid) < 64, rss_mib(reader.process.pid)
    assert all(kind in "IE" for kind, _ in infos.values()) and len(answers) == len(paths)
    # Nothing of the sort is a reason not to read what is there.
    assert infos["words.svs"][0] == infos["pairs.svs"][0] == "I", infos
    good = folder / "slides/none.tiff"
    assert reader.pictures([(good, 0, 0, 0, 9, 9)])[0][0][0] == "P"
    assert reader.close() == 0
    facts = json_of("slide", "info", bombs / "pairs.svs")
    assert int(facts["properties"]["detente.left-out"]) > 10_000, facts["properties"]["detente.left-out"]
    assert len(json.dumps(facts)) < 4_000_000


def test_info(folder):
    facts = json_of("slide", "info", folder / "slides/jpeg.svs")
    assert facts["vendor"] == "aperio" and facts["mpp_x"] == 0.25 and facts["objective"] == 40, facts
    assert [(one["width"], one["height"]) for one in facts["levels"]] == [(701, 523), (351, 262), (176, 131)]
    assert {one["name"]: (one["width"], one["height"]) for one in facts["associated"]} == {
        "thumbnail": (88, 66),
        "label": (60, 50),
        "macro": (90, 40),
    }
    assert facts["properties"]["aperio.AppMag"] == "40", facts["properties"]
    text = run("slide", "info", folder / "slides/jpeg.svs").stdout
    for words in ("aperio", "701 x 523", "0.25 x 0.25 microns", "40x", "label (60 x 50)", "--properties"):
        assert words in text, (words, text)
    assert "aperio.AppMag = 40" in run("slide", "info", folder / "slides/jpeg.svs", "--properties").stdout
    plain = json_of("slide", "info", folder / "slides/none.tiff")
    assert plain["objective"] is None and abs(plain["mpp_x"] - 0.5) < 1e-6, plain


def test_odd_names_and_links(folder):
    source = folder / "slides/deflate.svs"
    for name in ("with spaces.svs", "병리 슬라이드.svs", "quote'\"$(x).svs", "null", "new\nline\x1b[31m.svs"):
        path = folder / name
        path.write_bytes(source.read_bytes())
        assert json_of("slide", "info", path)["file"] == str(path)
        text = run("slide", "info", path).stdout
        assert "\x1b" not in text and text.startswith("file "), text
    link = folder / "a link.svs"
    link.symlink_to(source)
    assert json_of("slide", "info", link)["vendor"] == "aperio"


def test_thumbnail(folder):
    def size(*words):
        out = folder / "out put.png"
        text = run("slide", "thumbnail", folder / "slides/deflate.svs", "--out", out, *words).stdout
        with PIL.Image.open(out) as image:
            assert f"{image.width} x {image.height} pixels" in text, text
            return np.array(image.convert("RGB"))

    assert size().shape == (523, 701, 3)  # never larger than the slide
    small = size("--size", "100")
    assert small.shape == (75, 100, 3)
    level = half(half(tissue(701, 523, 1)))
    assert np.array_equal(small, mean_over_areas(level, 75, 100))
    assert size("--size", "1").shape == (1, 1, 3)
    assert np.array_equal(size("--associated", "label"), tissue(701, 523, 1)[:50, :60])
    assert size("--associated", "macro", "--size", "45").shape == (20, 45, 3)
    none = run(
        "slide",
        "thumbnail",
        folder / "slides/none.tiff",
        "--out",
        folder / "x",
        "--associated",
        "label",
        code=2,
    )
    assert "no picture 'label' beside it; it has none" in none.stderr, none.stderr
    slide = folder / "slides/none.tiff"
    before = slide.read_bytes()
    assert "is the data itself" in run("slide", "thumbnail", slide, "--out", slide, code=2).stderr
    assert slide.read_bytes() == before
    assert "no-folder" in run("slide", "thumbnail", slide, "--out", folder / "no-folder/x.png", code=3).stderr


def test_errors_say_what_a_file_is(folder):
    (folder / "empty.svs").write_bytes(b"")
    (folder / "text.svs").write_text("no slide\n" * 100)
    (folder / "cut.svs").write_bytes((folder / "slides/none.svs").read_bytes()[:5000])
    (folder / "loop.svs").symlink_to("loop.svs")
    os.mkfifo(folder / "pipe.svs")
    for name, words in (
        ("none.svs", "there is no such file"),
        (".", "it is a folder"),
        ("empty.svs", "it is empty"),
        ("text.svs", "it is no slide"),
        ("cut.svs", "cannot be read"),
        ("pipe.svs", "no regular file"),
        ("loop.svs", "symbolic links"),
        ("x" * 5000, "too long"),
    ):
        for command in (["info"], ["thumbnail", "--out", folder / "x.png"]):
            error = run("slide", command[0], folder / name, *command[1:], code=3, timeout=60).stderr
            assert words in error and error.count("\n") == 1, (name, error)
    assert not (folder / "x.png").exists()
    assert "no regular file" in run("slide", "info", "/dev/zero", code=3).stderr


def test_doctor(folder):
    facts = json_of("doctor", "--slides", "--strict")
    assert facts["reads"] is True and facts["problem"] == "" and facts["openslide"][0] in "34", facts
    assert "Slides can be read" in run("doctor", "--slides").stdout
    other = folder / "text.so"
    other.write_text("no library")
    for value, words in (
        (folder / "nothing.so", "it is not there"),
        (other, "no library for this machine"),
        ("libm.so.6", "undefined symbol: openslide_open"),
    ):
        done = run("doctor", "--slides", "--strict", code=1, DETENTE_OPENSLIDE=str(value))
        assert words in done.stdout and "What to do: " in done.stdout, done.stdout
        assert run("doctor", "--slides", DETENTE_OPENSLIDE=str(value)).stderr == ""
        failed = run("slide", "info", folder / "slides/none.tiff", code=2, DETENTE_OPENSLIDE=str(value))
        assert words in failed.stderr, failed.stderr
    facts = json_of("doctor", "--slides", DETENTE_SLIDE_WORKER=str(folder / "none"))
    assert facts["worker"] is None and "which is no program" in facts["problem"], facts
    dies = folder / "dies"
    dies.write_text("#!/bin/sh\necho no luck >&2; exit 4\n")
    dies.chmod(0o755)
    facts = json_of("doctor", "--slides", DETENTE_SLIDE_WORKER=str(dies))
    assert "ended with exit code 4" in facts["problem"] and "no luck" in facts["problem"], facts


def test_the_worker_says_what_it_is(folder):
    worker = Path(program).with_name("detente-slide-worker")
    done = subprocess.run([worker], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and "for detente" in done.stderr, done


try:
    run("doctor", "--slides", "--strict")
except AssertionError as error:
    if "cannot be loaded" in str(error):
        print("skipped: OpenSlide's library is not there")
        sys.exit(77)
    raise
run_tests(dict(globals()), make)

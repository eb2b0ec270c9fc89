"""The inside of report_page_test.sh. usage: report_page_test.py TEMPLATE_DIR UPLOT_DIR WORK_DIR

All pages of a colour scheme are opened by one Chromium, each in a frame as wide as the window it stands for:
headless Chromium has no window narrower than 500 pixels. A probe in each page reports what it finds there.
"""

import html
import json
import pathlib
import re
import subprocess
import sys

FIXTURES = pathlib.Path(__file__).parent
WIDTHS = (360, 800, 1400)
SCHEMES = {"dark": 0, "light": 1}  # Chromium's preferredColorScheme
BACKGROUNDS = {"dark": "rgb(22, 24, 28)", "light": "rgb(255, 255, 255)"}
HOSTILE = '</script><b>x</b> {{uplot_js}} <img src=x onerror=boom()> & \u2028 "q"'

# A line of a chart counts as drawn when its colour is somewhere on the canvas.
PROBE = """
<script>
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const texts = (selector) => all(selector).map((element) => element.textContent);
  const cells = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));

  const alike = (colour, pixels, i) =>
    pixels[i + 3] > 200 && colour.every((part, j) => Math.abs(part - pixels[i + j]) < 24);

  function undrawnLines(plot) {
    const canvas = plot.querySelector("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const drawn = (colour) => {
      for (let i = 0; i < pixels.length; i += 4) {
        if (alike(colour, pixels, i)) return true;
      }
      return false;
    };
    return [...plot.querySelectorAll(".swatch")]
      .map((swatch) => getComputedStyle(swatch).color.match(/[\\d.]+/g).slice(0, 3).map(Number))
      .filter((colour) => !drawn(colour)).length;
  }

  // Vertical lines of the colour of the axes' text, as borders are.
  function bordersOf(plot) {
    const canvas = plot.querySelector("canvas");
    const frame = canvas.getBoundingClientRect();
    const inner = plot.querySelector(".u-over").getBoundingClientRect();
    const box = [inner.left - frame.left, inner.top - frame.top, inner.width, inner.height];
    const [left, top, width, height] = box.map((length) => Math.round(length * devicePixelRatio));
    const { data } = canvas.getContext("2d").getImageData(left, top, width, height);
    const quiet = getComputedStyle(document.querySelector("p.quiet")).color.match(/\\d+/g).map(Number);
    let borders = 0;
    for (let x = 0; x < width; ++x) {
      let found = 0;
      for (let y = 0; y < height; ++y) found += alike(quiet, data, 4 * (y * width + x));
      borders += found > height / 3;
    }
    return borders;
  }

  function look() {
    const found = {
      width: innerWidth,
      background: getComputedStyle(document.body).backgroundColor,
      title: document.title,
      heading: texts("h1")[0],
      markup: all("main b, main img, main script").length,
      warnings: texts("main .warning"),
      figures: Object.fromEntries(all(".figures div").map((one) => [one.firstChild, one.lastChild]
        .map((part) => part.textContent))),
      charts: texts("figcaption h3"),
      undrawn: all(".uplot").map(undrawnLines),
      borders: all(".uplot").map(bordersOf),
      captions: texts("figcaption p"),
      legends: all(".uplot").map((plot) => plot.querySelectorAll(".u-series").length - 1),
      sections: texts("h2"),
      notes: texts("section > p"),
      tables: all("table.figuresheet").map(cells),
      best: texts("tr.best th"),
      names: all("canvas").filter((canvas) => canvas.getAttribute("aria-label")).length,
    };
    found.used = use();
    found.errors = document.documentElement.dataset.errors;
    found.overflow = document.documentElement.dataset.overflow;
    found.tooWide = document.documentElement.scrollWidth > innerWidth;
    return found;
  }

  // What a reader may do, and what comes of it.
  function use() {
    const used = {};
    for (const details of all("details")) details.open = true;
    const sort = all("th button").find((button) => button.textContent === "Period");
    if (sort) {
      const firstAfterClick = () => (sort.click(), cells(sort.closest("table"))[1].slice(0, 2));
      used.sorted = [firstAfterClick(), firstAfterClick()];
      used.order = sort.closest("th").getAttribute("aria-sort");
    }
    const name = all(".u-series th")[1];
    if (name) {
      name.click();
      used.hidden = all(".u-series.u-off").length;
      name.click();
    }
    const over = all(".u-over")[0];
    if (over) {
      const { left, width, top } = over.getBoundingClientRect();
      const at = { clientX: left + width - 1, clientY: top + 20, bubbles: true };
      over.dispatchEvent(new MouseEvent("mouseenter", at));
      over.dispatchEvent(new MouseEvent("mousemove", at));
    }
    const [dataset, period] = all("select");
    if (dataset) {
      used.period = period.value;
      dataset.value = "fashion-mnist";
      dataset.dispatchEvent(new Event("change"));
      used.periods = [...period.options].map((option) => option.value);
      used.charts = texts("figcaption h3");
    }
    return used;
  }

  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  addEventListener("load", async () => {
    await wait(300);
    const found = look();
    await wait(300);  // charts follow the mouse with the next frame, and so would their errors come
    found.hovered = texts(".uplot .u-value").slice(0, 3);
    found.values = all("figure table.figuresheet").map((table) => table.rows.length - 1);
    found.errors = document.documentElement.dataset.errors;
    parent.postMessage([decodeURIComponent(location.hash.slice(1)), found], "*");
  });
})();
</script>
"""

FRAMES = """<!DOCTYPE html><meta charset="utf-8">
<style>iframe {{ position: absolute; top: 0; left: 0; height: 900px; border: 0; }}</style>
<pre></pre>
<script>
  const found = {{}};
  addEventListener("message", ({{ data: [name, facts] }}) => {{
    found[name] = facts;
    document.querySelector("pre").textContent = JSON.stringify(found);
  }});
</script>
{frames}
"""

failures = 0


def expect(what, actual, expected):
    global failures
    if actual != expected:
        failures += 1
        print(f"FAIL {what}: expected {expected!r}, found {actual!r}")


def make_page(template_dir, uplot_dir, report):
    """Does what the C++ side does: one pass, so that tokens in what is put in stay as they are."""
    texts = {
        "uplot_css": (uplot_dir / "uPlot.min.css").read_text(),
        "uplot_js": (uplot_dir / "uPlot.iife.min.js").read_text(),
        "report_css": (template_dir / "report.css").read_text(),
        "charts_js": (template_dir / "charts.js").read_text(),
        "report_js": (template_dir / "report.js").read_text(),
        "data": json.dumps(report, ensure_ascii=False).replace("<", "\\u003c"),
    }
    template = (template_dir / "report_template.html").read_text()
    expect("tokens of the template", sorted(re.findall(r"{{(\w+)}}", template)), sorted(texts))
    page = re.sub(r"{{(\w+)}}", lambda token: texts[token[1]], template)
    return page.replace("</body>", PROBE + "</body>")


def reports():
    train = json.loads((FIXTURES / "report_train.json").read_text())
    compare = json.loads((FIXTURES / "report_compare.json").read_text())
    failed = {"dataset": "mnist", "sync": "pso-ps", "period": 16, "seed": 1, "status": "failed",
              "message": HOSTILE, "test_accuracy": None, "seconds": None, "epochs": []}
    changes = [
        {"generation": 2, "workers": 3, "step": 61, "epoch": 0.8, "round": 4,
         "reason": "worker 3 " + HOSTILE},
        {"generation": 3, "workers": 4, "step": 180, "epoch": 2.345678, "round": 11,
         "reason": "worker 3 joins"},
        {"generation": 4, "workers": 3, "step": 210}]
    more = {"membership": {"count": 1203, "first": changes},
            "failed_checkpoints": {"count": 1, "first": [{"step": 96, "reason": "no space " + HOSTILE}]}}
    return {
        "train": train,
        "changed": {**train, "runs": [{**train["runs"][0], **more}]},
        "compare": compare,
        "failed": {"kind": "train", "title": "failed", "created": None, "config": {}, "runs": [failed]},
        "nothing": {"kind": "compare", "title": "nothing", "runs": [], "groups": []},
    }


def look_at(pages, scheme, work):
    frames = "\n".join(f'<iframe style="width: {width}px" src="{page}.html#{page}%20{width}"></iframe>'
                       for page in pages for width in WIDTHS)
    (work / "frames.html").write_text(FRAMES.format(frames=frames))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom",
               "--virtual-time-budget=5000", "--window-size=1400,900", f"--user-data-dir={work}/{scheme}",
               f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"file://{work}/frames.html"]
    try:
        dump = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        sys.exit(f"FAIL chromium, {scheme}: no end after 120 seconds")
    text = re.search(r"<pre>(.*?)</pre>", dump.stdout, re.DOTALL)
    if dump.returncode != 0 or not text or not text[1]:
        sys.exit(f"FAIL chromium, {scheme}: exit code {dump.returncode}\n{dump.stderr[-2000:]}")
    return json.loads(html.unescape(text[1]))


def check_any(name, width, scheme, found, title):
    expect(f"{name}: errors", found["errors"], "0")
    expect(f"{name}: width", found["width"], width)
    expect(f"{name}: wider than the window", (found.get("overflow"), found["tooWide"]), ("false", False))
    expect(f"{name}: background", found["background"], BACKGROUNDS[scheme])
    expect(f"{name}: heading", found.get("heading"), title)
    expect(f"{name}: elements made of the data", found["markup"], 0)
    expect(f"{name}: charts", len(found["undrawn"]), len(found["charts"]))
    expect(f"{name}: lines that are not drawn", sum(found["undrawn"]), 0)
    expect(f"{name}: charts with a description", found["names"], len(found["charts"]))


def check_train(name, found):
    check_figures_of_train(name, found, {})
    expect(f"{name}: sections", found["sections"],
           ["Training", "The swarm", "Where the time went", "How it was made"])
    expect(f"{name}: lines between generations", found["borders"], [0, 0, 0, 0])
    expect(f"{name}: captions that speak of them", sum("generation" in text for text in found["captions"]), 0)
    times, configuration, versions = found["tables"]
    seconds = "0.50 0.10 10.0 0.60 0.40 1.10 0.01 12.7".split()
    expect(f"{name}: times", times[1], ["pso-ps"] + [f"{number}\u00a0s" for number in seconds])
    expect(f"{name}: configuration", (configuration[4], configuration[7][1], configuration[9][1]),
           (["lr", "0.1"], HOSTILE, "\u2013"))
    expect(f"{name}: versions", versions[1], ["swarmsync", "0.1.0"])


def check_changed(name, found):
    check_figures_of_train(name, found, {"Membership changes": "1,203"})
    expect(f"{name}: sections", found["sections"],
           ["Training", "The swarm", "Membership", "Checkpoints that failed", "Where the time went",
            "How it was made"])
    expect(f"{name}: lines between generations", found["borders"], [2, 2, 2, 2])
    expect(f"{name}: captions that speak of them", sum("generation" in text for text in found["captions"]), 4)
    expect(f"{name}: notes on the changes", [note.split(".")[0] for note in found["notes"][2:4]],
           ["The workers changed 1,203 times", "The first 3; there were 1,200 more"])
    changes, checkpoints = found["tables"][:2]
    expect(f"{name}: changes", changes, [
        ["Generation", "Step", "Epoch", "Workers in it", "Reason"],
        ["2", "61", "0.8", "3", "worker 3 " + HOSTILE],
        ["3", "180", "2.35", "4", "worker 3 joins"],
        ["4", "210", "\u2013", "3", "\u2013"]])
    expect(f"{name}: checkpoints", checkpoints, [["Step", "Reason"], ["96", "no space " + HOSTILE]])


def check_figures_of_train(name, found, more):
    expect(f"{name}: charts", found["charts"],
           ["Loss", "Accuracy (%)", "Distance within the swarm", "Fitness of each worker"])
    expect(f"{name}: lines", found["legends"], [4, 2, 4, 4])
    expect(f"{name}: figures", found["figures"], {
        "Test accuracy": "98.76\u00a0%", "Test loss": "0.0412", "Training loss, last epoch": "0.0331",
        "Exchanges": "24", "Sent by each worker": "15.6\u00a0MB", "Time": "12.7\u00a0s",
        "Samples a second, all workers": "20,123", **more})
    expect(f"{name}: note on the guard", found["notes"][0],
           "The guard left workers out of 2 of 24 exchanges: worker 3 (2 times).")
    expect(f"{name}: a line hidden", found["used"]["hidden"], 1)
    expect(f"{name}: values under the mouse", found["hovered"], ["5", "0.0673", "0.09"])
    expect(f"{name}: rows of the values", found["values"], [56, 10, 96, 96])


def check_compare(name, found):
    results = ["Test accuracy (%) against period", "Test accuracy (%) against bytes sent"]
    curves = ["Training loss", "Test accuracy (%)", "Distance within the swarm"]
    expect(f"{name}: charts", found["charts"], results + results + curves)
    expect(f"{name}: lines", found["legends"], [8, 8, 2, 2, 8, 8, 7])
    expect(f"{name}: figures", found["figures"], {
        "Data sets": "2", "Synchronizers": "8", "Groups": "24", "Final runs": "24", "Failed runs": "3"})
    mnist, fashion, times, failed = found["tables"][:4]
    expect(f"{name}: rows", [len(table) - 1 for table in (mnist, fashion, times, failed)], [22, 2, 8, 3])
    expect(f"{name}: a row", mnist[2], [
        "diloco", "4", "98.78 \u00b1 0.17\u00a0%", "+0.21 \u00b1 0.09\u00a0%", "98.68\u00a0%", "60.9\u00a0MB",
        "292", "31.0\u00a0s", "2", "lr 0.2, momentum 0.9, inertia 0.7, social 0.1"])
    expect(f"{name}: a row without figures", mnist[22],
           ["leader", "64"] + ["\u2013"] * 6 + ["2 (2 failed)", HOSTILE])
    expect(f"{name}: best of a period", found["best"], ["diloco"] * 3 + ["pso-ps"])
    expect(f"{name}: failed runs", [row[:4] for row in failed[1:]],
           [["mnist", "easgd", "16", "2"], ["mnist", "leader", "64", "1"], ["mnist", "leader", "64", "2"]])
    expect(f"{name}: reasons", [row[4] for row in failed[1:]],
           ["a worker was lost", "diverged " + HOSTILE, "\u2013"])
    expect(f"{name}: what was done", found["used"], {
        "sorted": [["ssgd", "1"], ["diloco", "64"]], "order": "descending", "hidden": 1,
        "period": "16", "periods": ["16"],
        "charts": results + results + ["Training loss", "Validation accuracy (%)"]})


def check_failed(name, found):
    expect(f"{name}: charts", found["charts"], [])
    expect(f"{name}: sections", found["sections"], [])
    expect(f"{name}: warning", found["warnings"], ["This run failed: " + HOSTILE])


def check_nothing(name, found):
    expect(f"{name}: charts", found["charts"], [])
    expect(f"{name}: sections", found["sections"], [])


def main():
    template_dir, uplot_dir, work = map(pathlib.Path, sys.argv[1:])
    checks = {"train": check_train, "changed": check_changed, "compare": check_compare,
              "failed": check_failed, "nothing": check_nothing}
    pages = reports()
    for name, report in pages.items():
        (work / f"{name}.html").write_text(make_page(template_dir, uplot_dir, report))
    for scheme in SCHEMES:
        found = look_at(pages, scheme, work)
        for page, report in pages.items():
            for width in WIDTHS:
                name = f"{page} at {width} pixels, {scheme}"
                facts = found.get(f"{page} {width}")
                if facts is None:
                    expect(f"{name}: reports", None, "something")
                    continue
                check_any(name, width, scheme, facts, report["title"])
                if facts["errors"] == "0":
                    checks[page](name, facts)
    if failures:
        sys.exit(f"{failures} checks failed")
    print(f"{len(pages) * len(WIDTHS) * len(SCHEMES)} pages are as they should be")


main()

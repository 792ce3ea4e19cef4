#!/usr/bin/env python3
"""Looks at a report in headless Chromium, as a phone, a desk and a dark desk show it.

    nightshelf report --db shop.db --out night.html
    tests/bench/page.py night.html pictures/

Says whether anything is wider than the window (at 360 and 1400 pixels), whether the last reader of the sample
can be looked up, and what the browser complains of, and leaves a picture of each. Ends with 1 if anything is wrong.
"""
import functools, http.server, pathlib, re, shutil, subprocess, sys, tempfile, threading

page, pictures = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
pictures.mkdir(parents=True, exist_ok=True)
browser = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("there is no Chromium here")
folder = pathlib.Path(tempfile.mkdtemp())
shutil.copy(page, folder / "page.html")
# A window cannot be as narrow as a phone, but a frame can.
frame = """<!doctype html><body style="margin:0"><iframe src="page.html" style="border:0;width:%dpx;height:%dpx"
 onload="const d = contentDocument.documentElement; d.querySelector('body details')?.setAttribute('open', '');
 const who = d.querySelector('#who'), last = d.querySelector('#ids option:last-child'); let found = 1;
 if (who && last) { who.value = last.value; who.dispatchEvent(new contentWindow.Event('input'));
   found = d.querySelectorAll('#sample .reader:not([hidden])').length; }
 document.title = d.scrollWidth + ' of ' + d.clientWidth + ', ' + d.scrollHeight + ' high, ' + found + ' found'"></iframe>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
threading.Thread(target=server.serve_forever, daemon=True).start()


def chromium(url, *flags):
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-quic", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=3000"]
    command = [browser, "--headless", "--no-sandbox", f"--user-data-dir={tempfile.mkdtemp()}", *quiet,
               "--enable-logging=stderr", *flags, f"http://127.0.0.1:{server.server_port}/{url}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


wrong = False
for name, width, flags in [("phone", 360, []), ("desk", 1400, []), ("dark", 1400, ["--force-dark-mode"])]:
    (folder / f"{name}.html").write_text(frame % (width, 800))
    ran = chromium(f"{name}.html", "--dump-dom", f"--window-size={width},900", *flags)
    title = re.search("<title>(.*?)</title>", ran.stdout)
    size = [int(number) for number in re.findall(r"\d+", title[1])] if title else []
    complaints = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    fits = len(size) == 4 and size[0] <= size[1] <= width
    wrong |= not fits or size[3] != 1 or bool(complaints)
    print(f"{name:6} {width} pixels: {title and title[1]}, {'fits' if fits else 'TOO WIDE'}", *complaints, sep="\n  ")
    high = size[2] if fits else 5000
    (folder / f"{name}.html").write_text(frame % (width, high))
    picture = pictures / f"{name}.png"
    chromium(f"{name}.html", f"--screenshot={picture}", f"--window-size={max(width, 500)},{high}", *flags)
sys.exit(wrong)

"""Makes the pictures of the README from the real thing: a terminal with a night, and the page about it.

    python packaging/pictures.py target/release/nightshelf

Needs the package `rich`, and Chromium as `chromium`.
"""

import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile

import rich.console
import rich.text

program = pathlib.Path(sys.argv[1]).resolve()
images = pathlib.Path(__file__).parent.parent / "docs" / "images"
COLUMNS = 112


def typed(words: list[str], folder: pathlib.Path) -> str:
    """What a command shows on a terminal of its own, the last of each line that was drawn over."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", str(COLUMNS), "rows", "60"], stdin=theirs, check=True)
    job = subprocess.Popen(words, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    if job.wait():
        sys.exit(shown.decode())
    lines = shown.decode().replace("\r\n", "\n").split("\n")
    kept = [line.rsplit("\r", 1)[-1].replace("\x1b[2K", "").replace("\x1b[1A", "") for line in lines]
    return "\n".join(line for line in kept if line.strip())


with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    console = rich.console.Console(record=True, width=COLUMNS, file=open("/dev/null", "w"), force_terminal=True)
    subprocess.run([program, "demo", "--db", "shop.db"], cwd=folder, check=True, capture_output=True)
    for words in (["run", "--db", "shop.db", "--force"], ["recommend", "--db", "shop.db", "--user", "1025"]):
        console.print(rich.text.Text("$ nightshelf " + " ".join(words), style="bold"))
        console.print(rich.text.Text.from_ansi(typed([str(program), *words], folder)))
    drawn = console.export_svg(title="a night, and a reader's list")
    # A picture that loads nothing: with the fonts that are there.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.S).replace("Fira Code", "DejaVu Sans Mono")
    (images / "terminal.svg").write_text(drawn)

    subprocess.run([program, "report", "--db", "shop.db", "--out", "night.html"], cwd=folder, check=True, capture_output=True)
    subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
            f"--user-data-dir={folder / 'browser'}", "--window-size=1100,1250", f"--screenshot={images / 'page.png'}",
            (folder / "night.html").as_uri(),
        ],
        check=True,
        capture_output=True,
    )

"""`curl` for machines that have none: the few options that the README's examples use."""

from __future__ import annotations

import argparse
import shutil
import stat
import sys
from pathlib import Path

import httpx2


def on_path(folder: Path) -> str:
    """A folder to be put first on PATH: it holds a `curl` where the machine has none."""
    if shutil.which("curl") is None:
        script = folder / "curl"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def main(arguments: list[str] | None = None) -> int:
    """Do as curl does, with `-s -S -N -f --fail-with-body -F -H -d --data-binary --json -o -X`."""
    options = _parser().parse_args(arguments)
    url = options.url if "://" in options.url else f"http://{options.url}"
    headers = dict(line.split(": ", 1) for line in options.header)
    body = sys.stdin.read() if options.data_binary == "@-" else options.json or options.data
    if options.json:
        headers |= {"Content-Type": "application/json", "Accept": "application/json"}
    files, fields = _form(options.form)
    method = options.method or ("POST" if body or files or fields else "GET")
    content = body.encode() if body else None
    answer = httpx2.request(
        method, url, headers=headers, content=content, files=files, data=fields, timeout=120
    )
    if options.output:
        Path(options.output).write_bytes(answer.content)
    else:
        sys.stdout.buffer.write(answer.content)
    return 22 if options.fail and answer.is_error else 0


def _form(parts: list[str]) -> tuple[dict[str, tuple[str, bytes]] | None, dict[str, str] | None]:
    named = dict(part.split("=", 1) for part in parts)
    paths = {name: Path(value[1:]) for name, value in named.items() if value.startswith("@")}
    files = {name: (path.name, path.read_bytes()) for name, path in paths.items()}
    return files or None, {name: value for name, value in named.items() if name not in files} or None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="curl")
    for flags, name in (
        (("-s", "--silent"), "silent"),
        (("-S", "--show-error"), "show"),
        (("-N", "--no-buffer"), "unbuffered"),
        (("-f", "--fail", "--fail-with-body"), "fail"),
    ):
        parser.add_argument(*flags, dest=name, action="store_true")
    for flags, name in ((("-F", "--form"), "form"), (("-H", "--header"), "header")):
        parser.add_argument(*flags, dest=name, action="append", default=[])
    for flags, name in (
        (("-d", "--data"), "data"),
        (("-o", "--output"), "output"),
        (("-X", "--request"), "method"),
    ):
        parser.add_argument(*flags, dest=name)
    for name in ("--json", "--data-binary"):
        parser.add_argument(name)
    parser.add_argument("url")
    return parser


if __name__ == "__main__":
    sys.exit(main())

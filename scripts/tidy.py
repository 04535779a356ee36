#!/usr/bin/env python3
"""The house rules that neither rustfmt nor clippy knows, checked over every Rust, Python and shell file.

Prints one line for each breach (path:line: what) and ends with status 1 if there was any. Reads only.
Usage: scripts/tidy.py [ROOT]
"""

import re
import subprocess
import sys
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 70
LINE_CHARS = 120
SUFFIXES = {".rs", ".py", ".sh"}
FORBIDDEN_NAMES = re.compile(r"^(util|utils|common|helper|helpers|manager|misc)\.rs$|_impl\.rs$")
# Spelled in pieces so that this file does not report itself.
LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b|\b(db" r"g|to" r"do|unimple" r"mented)!\s*\(")
# Law 12: the pure crate takes time, randomness, files and threads from nowhere.
PURE_CRATES = ("percolator", "placement")
IMPURE = re.compile(r"\bstd::(thread|fs|net|process)\b|\b(SystemTime|Instant)\b|\brand::")
UNIT_TESTS = re.compile(r"(^|_)tests\.rs$")
STRAY_IGNORE = re.compile(r"#\[ignore\s*\]")


def main(root):
    breaches = []
    for path in source_files(root):
        text = (root / path).read_text(encoding="utf-8")
        breaches += check_file(path, text)
    for crate in sorted(p.parent for p in root.glob("*/Cargo.toml")):
        breaches += check_map(root, crate)
    for path, line, what in breaches:
        print(f"{path}:{line}: {what}")
    return 1 if breaches else 0


def source_files(root):
    """Every file that is, or would be, under version control; without git, every file outside target folders."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False,
    )
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        names = [p.relative_to(root) for p in root.rglob("*") if "target" not in p.relative_to(root).parts]
    return sorted(p for p in set(names) if p.suffix in SUFFIXES and (root / p).is_file())


def check_file(path, text):
    """All rules that look at one file alone."""
    lines = text.splitlines()
    breaches = []
    if len(lines) >= FILE_LINES:
        breaches.append((path, len(lines), f"file has {len(lines)} lines; it must stay under {FILE_LINES}"))
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_CHARS:
            breaches.append((path, number, f"line has {len(line)} characters; the limit is {LINE_CHARS}"))
        if LEFTOVERS.search(line):
            breaches.append((path, number, "leftover marker: do it, or say in docs/limits.md that it is absent"))
    if path.suffix == ".rs":
        breaches += check_rust(path, text, lines)
    functions = {".rs": rust_functions, ".sh": shell_functions, ".py": python_functions}[path.suffix](text)
    for name, first, length in functions:
        if length >= FUNCTION_LINES:
            breaches.append((path, first, f"function {name} has {length} lines; it must stay under {FUNCTION_LINES}"))
    return breaches


def check_rust(path, text, lines):
    """The rules for Rust files alone: name, opening words, ignored tests, purity."""
    breaches = []
    if FORBIDDEN_NAMES.search(path.name):
        breaches.append((path, 1, f"the name {path.name} says nothing: name the file by what it does"))
    if len(lines) < 2 or not all(line.startswith("//!") for line in lines[:2]):
        breaches.append((path, 1, "a file opens with at least two lines of //! that say what it is for"))
    code = blank_rust(text).splitlines()
    pure = path.parts[0] in PURE_CRATES and "src" in path.parts and not UNIT_TESTS.search(path.name)
    for number, line in enumerate(code, 1):
        if STRAY_IGNORE.search(line):
            breaches.append((path, number, "an ignored test states its reason: #[ignore = \"why\"]"))
        if pure and IMPURE.search(line):
            breaches.append((path, number, "this crate takes time, randomness, disk and threads as arguments"))
    return breaches


def check_map(root, crate):
    """lib.rs's opening (or that of the folder's own module file) names every file of the crate but its unit tests."""
    breaches = []
    source = crate / "src"
    for file in sorted(source.rglob("*.rs")):
        if file.name in ("lib.rs", "main.rs") and file.parent == source or UNIT_TESTS.search(file.name):
            continue
        folder = file.parent if file.name != "mod.rs" else file.parent.parent
        stem = file.stem if file.name != "mod.rs" else file.parent.name
        maps = [source / "lib.rs"]
        while folder != source:
            maps += [folder / "mod.rs", folder.with_suffix(".rs")]
            folder = folder.parent
        if not any(names(opening(m), stem) for m in maps if m.is_file()):
            breaches.append((file.relative_to(root), 1, f"the map in {crate.name}/src/lib.rs does not mention {stem}"))
    return breaches


def opening(file):
    """The //! lines with which a file begins."""
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("//!"):
            break
        kept.append(line[3:])
    return kept


def names(lines, stem):
    """Whether a map names the module: `stem.rs`, `stem` in backticks, or as the first word of a list or table line."""
    s = re.escape(stem)
    named = re.compile(rf"\b{s}\.rs\b|`[^`]*\b{s}\b[^`]*`|^[\s|*+─│├└-]*\[?{s}\]?(/|:|\s|$)")
    return any(named.search(line) for line in lines)


def blank_rust(text):
    """Rust text of the same shape in which comments, strings and character literals are spaces."""
    token = re.compile(
        r"//[^\n]*"
        r"|/\*"
        r"|\b[bc]?r(?P<hashes>#*)\".*?\"(?P=hashes)"
        r"|\b[bc]?\"(?:\\.|[^\"\\])*\"|\"(?:\\.|[^\"\\])*\""
        r"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'",
        re.DOTALL,
    )
    out, at = [], 0
    while found := token.search(text, at):
        end = found.end() if found.group() != "/*" else comment_end(text, found.end())
        out.append(text[at:found.start()])
        out.append(re.sub(r"[^\n]", " ", text[found.start():end]))
        at = end
    return "".join(out) + text[at:]


def comment_end(text, at):
    """The end of a block comment whose opening ends at `at`; they nest."""
    depth = 1
    while depth:
        found = re.compile(r"/\*|\*/").search(text, at)
        if not found:
            return len(text)
        depth += 1 if found.group() == "/*" else -1
        at = found.end()
    return at


def rust_functions(text):
    """(name, first line, number of lines) of each function that has a body."""
    code = blank_rust(text)
    found = []
    for start in re.finditer(r"\bfn\s+(\w+)", code):
        body = body_start(code, start.end())
        if body is None:
            continue
        end = matching_brace(code, body)
        first = code.count("\n", 0, start.start()) + 1
        found.append((start.group(1), first, code.count("\n", 0, end) + 2 - first))
    return found


def body_start(code, at):
    """The place of the function's opening brace, or None for a declaration. Array types hold semicolons."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([":
            depth += 1
        elif code[i] in ")]":
            depth -= 1
        elif depth == 0 and code[i] in "{;":
            return i if code[i] == "{" else None
    return None


def matching_brace(code, at):
    """The place of the brace that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] == "{":
            depth += 1
        elif code[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    return len(code)


def shell_functions(text):
    """As rust_functions; in our scripts a function ends at the first closing brace in the first column."""
    found, name, first = [], None, 0
    for number, line in enumerate(text.splitlines(), 1):
        start = re.match(r"(\w+)\(\) \{", line)
        if start and not line.rstrip().endswith("}"):
            name, first = start.group(1), number
        elif line.startswith("}") and name:
            found.append((name, first, number - first + 1))
            name = None
    return found


def python_functions(text):
    """As rust_functions; a function ends before the next line that is indented no deeper."""
    found, lines = [], text.splitlines()
    for number, line in enumerate(lines, 1):
        start = re.match(r"(\s*)(?:async )?def (\w+)", line)
        if start:
            last = number
            for later, body in enumerate(lines[number:], number + 1):
                indent = len(body) - len(body.lstrip())
                if body.strip() and indent <= len(start.group(1)) and body.strip()[0] not in ")]":
                    break
                last = later if body.strip() else last
            found.append((start.group(2), number, last - number + 1))
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()))

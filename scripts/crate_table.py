#!/usr/bin/env python3
"""Who may use whom: compares the table below with what cargo says, and with the table in docs/architecture.md.

Also checks that the two cores build without any disk or network library, however deep in the tree.
Usage: scripts/crate_table.py [ROOT]; reads only.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

# Crate (without its prefix `nokv-`) -> the crates of this workspace that it may use.
MAY_USE = {
    "proto": set(),
    "engine": set(),
    "transport": {"proto"},
    "percolator": {"engine"},
    "raftstore": {"engine", "transport", "proto"},
    "placement": {"engine", "proto", "raftstore"},
    "client": {"proto", "percolator"},
    "bench": {"proto", "engine", "percolator", "client"},
    "server": {"proto", "engine", "transport", "percolator", "raftstore", "placement", "client", "bench"},
    "fuzz": {"proto", "engine", "transport", "percolator", "raftstore", "client", "server"},
    "sim": {"proto", "engine", "transport", "percolator", "raftstore", "placement", "client", "server"},
}
# What a crate's tests may use besides. The cores never see each other, not even there.
TESTS_MAY_USE = {"client": {"engine"}, "bench": {"raftstore", "transport"}}
# The cores see the seams of disk and network, never an implementation of them.
CORES = ("percolator", "raftstore")
EDGES = {"rocksdb", "librocksdb-sys", "tonic", "tokio", "hyper", "h2", "axum"}


def main(root):
    breaches = workspace_breaches(root) + documented_table_breaches(root)
    for core in CORES:
        breaches += core_breaches(root, core)
    for breach in breaches:
        print(f"crate table: {breach}")
    return 1 if breaches else 0


def workspace_breaches(root):
    """Edges between our own crates that the table does not have."""
    metadata = json.loads(cargo(root, "metadata", "--no-deps", "--format-version", "1"))
    breaches = []
    for package in metadata["packages"]:
        crate = short(package["name"])
        if crate not in MAY_USE:
            breaches.append(f"{crate} has no row; add it to scripts/crate_table.py and docs/architecture.md on purpose")
            continue
        for dependency in package["dependencies"]:
            used, kind = short(dependency["name"]), dependency["kind"] or "normal"
            allowed = MAY_USE[crate] | {crate} | (TESTS_MAY_USE.get(crate, set()) if kind == "dev" else set())
            if dependency.get("path") and used not in allowed:
                breaches.append(f"{crate} uses {used} ({kind}); it may use: {', '.join(sorted(MAY_USE[crate])) or '-'}")
    return breaches


def core_breaches(root, core):
    """Disk and network libraries in the tree from which a core is built."""
    tree = cargo(root, "tree", "-p", f"nokv-{core}", "-e", "normal", "--prefix", "none", "--format", "{p}")
    built = {line.split()[0] for line in tree.splitlines() if line.strip()}
    return [f"{core} must build without {edge}: cargo tree -p nokv-{core} -e normal -i {edge}"
            for edge in sorted(built & EDGES)]


def documented_table_breaches(root):
    """Rows of the table in docs/architecture.md (`| `crate/` | what | may use |`) that say something else."""
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", (root / "docs/architecture.md").read_text(), re.MULTILINE)
    documented = {crate: set(re.findall(r"\w+", uses)) for crate, uses in rows}
    return [f"docs/architecture.md and scripts/crate_table.py differ about {crate}"
            for crate in sorted(MAY_USE) if documented.get(crate) != MAY_USE[crate]]


def cargo(root, *arguments):
    """Output of a cargo command that must succeed."""
    return subprocess.run(["cargo", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def short(name):
    """`nokv-engine` -> `engine`."""
    return name.removeprefix("nokv-")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()))

#!/usr/bin/python3
"""Plants known faults in copies of the core, and shows that the scenario files catch them.

    test/scenario/plant_faults.py            plant all of them; exit 0 if every one is caught
    test/scenario/plant_faults.py NAME...    those whose name or file contains one of the words
    test/scenario/plant_faults.py --table    print the table of docs/scenarios.md

Most faults are replacements in one source file, in test/scenario/faults.txt; others are switched on
by their names in src/raft/fault.h. The repository itself is never touched. A replacement that no
longer fits is an error: whoever changes a rule of the core moves its fault along.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = ROOT / "test/scenario/cases"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-DRAFT_FAULTS", "-O0", "-w",
         f"-I{ROOT}/include", f"-I{ROOT}/test"]


def read_faults():
    """Lists (name, case, rule, source, [(old, new), ...]); `source` may name a switch instead."""
    faults = []
    for block in (ROOT / "test/scenario/faults.txt").read_text().split("\n== ")[1:]:
        head, *rest = block.split("\n")
        name, case, source = [part.strip() for part in head.split("|")]
        rule = rest[0].strip()
        body = "\n" + "\n".join(rest[1:])
        changes = []
        for change in body.split("\n<<<\n")[1:]:
            old, new = change.split("\n===\n")
            new = new.split("\n>>>")[0] if not new.startswith(">>>") else ""
            changes.append((old, new))
        faults.append((name, case, rule, source, changes))
    return faults


def compile_one(source, out, include):
    subprocess.run(["cc", *FLAGS, f"-I{include}", "-c", str(source), "-o", str(out)], check=True)


def build_all(directory):
    """Object files of the core as it is, by source name."""
    objects = {}
    jobs = []
    for folder in ("src/raft", "src/base", "test/scenario"):
        for source in sorted((ROOT / folder).glob("*.c")):
            out = directory / (folder.replace("/", "_") + "_" + source.stem + ".o")
            objects[f"{folder}/{source.name}"] = out
            jobs.append((source, out))
    for source, out in jobs:
        compile_one(source, out, ROOT / "src")
    return objects


def plant(directory, objects, fault):
    """Builds raft-scenario with the fault and returns its path."""
    name, _, _, source, changes = fault
    if not changes:
        return link(directory, objects, source)
    text = (ROOT / source).read_text()
    for old, new in changes:
        if text.count(old) != 1:
            sys.exit(f"{name}: its text is in {source} {text.count(old)} times, not once:\n{old}")
        text = text.replace(old, new)
    copy = directory / "fault.c"
    copy.write_text(text)
    compile_one(copy, directory / "fault.o", ROOT / "src")
    return link(directory, {**objects, source: directory / "fault.o"})


def link(directory, objects, switch="NONE"):
    planted = directory / "planted.c"
    planted.write_text('#include "raft/fault.h"\n'
                       f"enum raft_fault raft_fault_planted = RAFT_FAULT_{switch};\n")
    compile_one(planted, directory / "planted.o", ROOT / "src")
    program = directory / "raft-scenario"
    program.unlink(missing_ok=True)
    objects = [*objects.values(), directory / "planted.o"]
    subprocess.run(["cc", "-o", str(program), *map(str, objects), "-lxxhash"], check=True)
    return program


def passes(program, case):
    run = subprocess.run([str(program), str(CASES / f"{case}.txt")], capture_output=True,
                         timeout=60, check=False)
    return run.returncode == 0


def print_table(faults):
    print("| file | rule | planted fault that it catches |")
    print("|---|---|---|")
    for name, case, rule, _, _ in faults:
        print(f"| `{case}` | {rule} | {name} |")


def main():
    words = sys.argv[1:]
    faults = read_faults()
    if words == ["--table"]:
        print_table(faults)
        return 0
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        objects = build_all(directory)
        program = link(directory, objects)
        for case in sorted({fault[1] for fault in faults}):
            if not passes(program, case):
                sys.exit(f"{case}: fails without any fault")
        for fault in faults:
            name, case = fault[:2]
            if words and not any(word in name or word in case for word in words):
                continue
            caught = not passes(plant(directory, objects, fault), case)
            missed += not caught
            print(f"{'caught' if caught else 'MISSED'}  {case}: {name}", flush=True)
    print(f"{missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C.UTF-8"
    sys.exit(main())

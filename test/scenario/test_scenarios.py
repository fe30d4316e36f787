#!/usr/bin/python3
"""Scenario files of ours and the published ones, and raft-scenario itself.

The published files are not part of the repository. They are looked for in ROCKRAFT_CONFORMANCE, or
in ../shared/conformance beside the sources; without them that part says that it was skipped.

ctest: timeout=180
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("ROCKRAFT_SOURCE",
                                     pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = pathlib.Path(os.environ.get("ROCKRAFT_BIN", SOURCE / "build/bin")) / "raft-scenario"
CASES = sorted((SOURCE / "test/scenario/cases").glob("*.txt"))
CONFORMANCE = pathlib.Path(os.environ.get("ROCKRAFT_CONFORMANCE",
                                          SOURCE.parent / "shared/conformance"))

PASSING = """\
# A comment.
log-level none
----
ok


add-nodes 1 \\
  voters=(1) index=2
----
ok

log-level debug
----
ok

campaign 1
----
INFO 1 is starting a new election at term 0
INFO 1 became candidate at term 1
"""


def run(*arguments):
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def published():
    return sorted(CONFORMANCE.glob("*/*.txt")) if CONFORMANCE.is_dir() else []


class Files(unittest.TestCase):
    def test_ours_pass(self):
        self.assertGreater(len(CASES), 40)
        status, out, err = run(*CASES)
        self.assertEqual((status, err), (0, ""), out)

    def test_the_published_ones_pass(self):
        files = published()
        if not files:
            self.skipTest(f"no published scenario files in {CONFORMANCE}")
        status, out, err = run(*files)
        self.assertEqual((status, err), (0, ""), out)

    def test_each_of_ours_says_what_it_shows(self):
        for file in CASES:
            with self.subTest(file=file.name):
                self.assertTrue(file.read_text(encoding="utf-8").startswith("# "))

    def test_the_document_lists_the_faults_that_ours_catch(self):
        table = subprocess.run(
            [sys.executable, SOURCE / "test/scenario/plant_faults.py", "--table"],
            capture_output=True, text=True, check=True).stdout
        document = (SOURCE / "docs/scenarios.md").read_text(encoding="utf-8")
        self.assertIn(table, document)
        for file in CASES:
            self.assertIn(f"| `{file.stem}` |", table)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, text, name="case.txt"):
        file = pathlib.Path(self.folder.name) / name
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        return file

    def run_text(self, text, *options):
        return run(*options, self.write(text))

    def output_of(self, text):
        """What raft-scenario puts behind the last command of `text`."""
        file = self.write(text + "\n----\n")
        self.assertEqual(run("--rewrite", file)[0], 0)
        return file.read_text(encoding="utf-8").rsplit("----\n", 1)[1]

    def test_exits_with_0_when_all_is_the_same(self):
        status, out, err = self.run_text(PASSING)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("4 cases, 0 differ", out)

    def test_exits_with_1_and_shows_where_the_output_differs(self):
        text = PASSING.replace("became candidate at term 1", "became candidate at term 7")
        file = self.write(text)
        status, out, err = run(file)
        self.assertEqual((status, err), (1, ""))
        self.assertIn(f"{file}:16: campaign: output differs from its line 2 on", out)
        self.assertIn("\n  - INFO 1 became candidate at term 7\n", out)
        self.assertIn("\n  + INFO 1 became candidate at term 1\n", out)
        self.assertNotIn("starting a new election", out)
        self.assertIn("4 cases, 1 differ", out)

    def test_runs_every_file_and_adds_up(self):
        good = self.write(PASSING, "good.txt")
        bad = self.write(PASSING.replace("candidate", "leader"), "bad.txt")
        status, out, _ = run(bad, good)
        self.assertEqual(status, 1)
        self.assertIn("bad.txt: 4 cases, 1 differ", out)
        self.assertIn("good.txt: 4 cases, 0 differ", out)

    def test_compares_the_last_line_with_its_newline(self):
        self.assertEqual(self.run_text("log-level none\n----\nok")[0], 0)
        self.assertEqual(self.run_text("log-level none\n----\nok \n")[0], 1)
        self.assertEqual(self.run_text("log-level none\n----\n")[0], 1)

    def test_exits_with_2_on_what_cannot_be_parsed(self):
        bad = {
            "no separator": "log-level none\n",
            "no closing parenthesis": "add-nodes 1 voters=(1\n----\nok\n",
            "an argument without a name": "add-nodes 1 =x\n----\nok\n",
            "no number": "campaign x\n----\nok\n",
            "no argument": "campaign\n----\nok\n",
            "no such node": "campaign 1\n----\nok\n",
            "no fence at the end": "log-level none\n----\n----\nok\n",
            "not text": "log-level none\n----\nok\0\n",
            "no boolean": "add-nodes 1 prevote=maybe\n----\nok\n",
            "an unknown option": "add-nodes 1 foo=1\n----\nok\n",
            "too many members": f"add-nodes 1 voters=({','.join(map(str, range(1, 40)))}) index=2\n"
                                "----\nok\n",
            "the same member twice": "add-nodes 1 voters=(1,1) index=2\n----\nok\n",
            "an argument twice": "vote cfg=(1) cfg=(2) votes=(y)\n----\nok\n",
        }
        for what, text in bad.items():
            with self.subTest(what=what):
                status, _, err = self.run_text(text)
                self.assertEqual(status, 2, err)
                self.assertIn("case.txt", err)
                self.assertEqual(err.count("\n"), 1)

    def test_exits_with_2_on_a_file_that_is_not_there(self):
        status, _, err = run(pathlib.Path(self.folder.name) / "none.txt")
        self.assertEqual(status, 2)
        self.assertIn("none.txt", err)

    def test_exits_with_2_without_files_or_with_unknown_options(self):
        self.assertEqual(run()[0], 2)
        self.assertEqual(run("--nonsense", CASES[0])[0], 2)
        self.assertEqual(run("--help")[0], 0)

    def test_a_rewrite_of_a_passing_file_changes_no_byte(self):
        odd = PASSING + "\n\n\n# The end, without a newline"
        fenced = "log-level none\n----\n----\nok\n----\n----\n"
        spaced = PASSING.replace("ok\n\n\nadd", "ok\n \t\n\nadd")
        copies = [self.write(text, f"{i}.txt") for i, text in enumerate([odd, fenced, spaced])]
        for file in CASES + published():
            copies.append(pathlib.Path(self.folder.name) / f"{file.parent.name}-{file.name}")
            shutil.copy(file, copies[-1])
        before = [file.read_bytes() for file in copies]
        self.assertEqual(run("--rewrite", *copies)[0], 0)
        self.assertEqual([file.read_bytes() for file in copies], before)

    def test_a_rewrite_makes_a_file_pass(self):
        file = self.write(PASSING.replace("candidate", "leader") + "\nraft-state\n----\n")
        self.assertEqual(run(file)[0], 1)
        self.assertEqual(run("--rewrite", file)[0], 0)
        self.assertEqual(run(file)[0], 0)
        text = file.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(PASSING))
        self.assertTrue(text.endswith("\n1: StateCandidate (Voter) Term:1 Lead:0\n"))

    def test_a_rewrite_fences_output_that_would_be_cut(self):
        # The data of an entry is quoted, so only an empty Ready of several nodes could do it; the
        # file that expects blank lines is what is tested.
        file = self.write("log-level none\n----\n----\nok\n\nmore\n----\n----\n\nlog-level none\n"
                          "----\nok\n")
        self.assertEqual(run(file)[0], 1)
        self.assertEqual(run("--rewrite", file)[0], 0)
        self.assertEqual(run(file)[0], 0)

    def test_continued_lines_and_lists(self):
        self.assertEqual(
            self.output_of("add-nodes 2 \\\n  voters=(2, \\\n 1)  index=2\n----\n\n"
                           "stabilize\n----\n\nraft-state"),
            "1: StateFollower (Voter) Term:0 Lead:0\n2: StateFollower (Voter) Term:0 Lead:0\n")

    def test_quotes_data_as_published(self):
        data = '"a"\\\x01\u00e9\u00a0\u200b\U0001F600\udcff'
        file = self.write("add-nodes 1 voters=(1) index=2\n----\n\nlog-level none\n----\n\n"
                          f"campaign 1\n----\n\nstabilize\n----\n\npropose 1 {data}\n----\n\n"
                          "stabilize\n----\n\nlog-level info\n----\n\nraft-log 1\n----\n")
        self.assertEqual(run("--rewrite", file)[0], 0)
        last = file.read_bytes().decode("utf-8", "surrogateescape").splitlines()[-1]
        self.assertEqual(last, '1/4 EntryNormal "\\"a\\"\\\\\\x01\u00e9\\u00a0\\u200b\U0001F600\\xff"')

    def test_error_texts_of_proposals(self):
        texts = {
            "x1": "unknown input: x1",
            "v": "unknown token v",
            "v1  v2": "unknown token",
            "vx": 'strconv.ParseUint: parsing "x": invalid syntax',
            "v99999999999999999999":
                'strconv.ParseUint: parsing "99999999999999999999": value out of range',
        }
        for operations, text in texts.items():
            with self.subTest(operations=operations):
                out = self.output_of("add-nodes 1\n----\n\nlog-level none\n----\n\n"
                                     f"propose-conf-change 1\n{operations}")
                self.assertEqual(out.rstrip(), text)
                self.assertEqual(self.output_of(f"simple\n{operations}").rstrip(), text)

    def test_tells_the_families_apart_by_their_first_command(self):
        self.assertEqual(self.output_of("simple\nv1"), "voters=(1)\n1: StateProbe match=0 next=1\n")
        self.assertEqual(self.output_of("vote cfg=(1,2) votes=(y,_)"), "VotePending\n")
        self.assertEqual(self.output_of("committed cfg=(1) cfgj=zero idx=(7)"),
                         "     idx\n>      7    (id=1)\n7\n")
        self.assertEqual(self.output_of("committed cfgj=zero"), "<empty majority quorum>\u221e\n")
        self.assertEqual(self.output_of("vote cfg=(2,1) votes=(y)"),
                         "error: mismatched input (explicit or _) for voters map[1:{} 2:{}]: [2]\n")
        self.assertEqual(self.output_of("nonsense"), "unknown command\n")


if __name__ == "__main__":
    unittest.main()

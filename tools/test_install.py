#!/usr/bin/python3
"""What `make install` leaves can be used: through pkg-config, shared and static, and by CMake.

ctest: timeout=120
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("ROCKRAFT_SOURCE", Path(__file__).resolve().parent.parent))
BUILD = Path(os.environ.get("ROCKRAFT_BIN", SOURCE / "build/bin")).parent

PROGRAM = """
#include <rockraft/rockraft.h>
#include <stdio.h>
int main(void)
{
    puts(rr_status_name(RR_NOT_LEADER));
    return 0;
}
"""

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(consumer C CXX)
find_package(rockraft 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared rockraft::rockraft)
add_executable(static main.c)
target_link_libraries(static rockraft::rockraft_static)
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.folder.name)
        cls.prefix = cls.root / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.library = next(cls.prefix.rglob("librockraft.so")).parent
        (cls.root / "main.c").write_text(PROGRAM, encoding="utf-8")
        (cls.root / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def flags(self, *arguments):
        """What pkg-config says, with the prefix of this installation."""
        path = os.environ | {"PKG_CONFIG_PATH": str(self.library / "pkgconfig")}
        return run("pkg-config", f"--define-variable=prefix={self.prefix}", *arguments,
                   "rockraft", env=path).split()

    def check_program(self, program):
        found = os.environ | {"LD_LIBRARY_PATH": str(self.library)}
        self.assertEqual(run(program, env=found), "not leader\n")

    def test_pkg_config_finds_the_shared_library(self):
        program = self.root / "shared"
        run("cc", self.root / "main.c", "-o", program, *self.flags("--cflags", "--libs"))
        self.check_program(program)
        self.assertIn("librockraft.so.0", run("ldd", program))

    def test_pkg_config_finds_the_static_library(self):
        program = self.root / "static"
        flags = ["-l:librockraft.a" if flag == "-lrockraft" else flag
                 for flag in self.flags("--static", "--cflags", "--libs")]
        run("cc", self.root / "main.c", "-o", program, *flags)
        self.check_program(program)
        self.assertNotIn("librockraft", run("ldd", program))

    def test_cmake_finds_both(self):
        build = self.root / "build"
        run("cmake", "-S", self.root, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", build)
        self.check_program(build / "shared")
        self.check_program(build / "static")

    def test_a_c_plus_plus_program_compiles(self):
        source = self.root / "main.cpp"
        source.write_text(PROGRAM, encoding="utf-8")
        program = self.root / "plus"
        run("c++", source, "-o", program, *self.flags("--cflags", "--libs"))
        self.check_program(program)

    def test_nothing_but_rr_symbols_leaves_the_libraries(self):
        run(SOURCE / "tools/check_exports.sh", BUILD)


if __name__ == "__main__":
    if os.environ.get("ROCKRAFT_SANITIZE") or not (BUILD / "lib/librockraft.a").exists():
        print("skipped: this build has no static library")
        sys.exit(77)
    unittest.main()

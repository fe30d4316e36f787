# The front door. The build itself is CMake's (CMakeLists.txt, CMakePresets.json); everything
# here can be done by hand with `cmake --preset dev`, `cmake --build build` and `ctest`.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
TEST_JOBS ?= 2
BUILD = build
CTEST = ctest --output-on-failure --timeout 600 -j $(TEST_JOBS) $(TEST_ARGS)

.DEFAULT_GOAL = all
.PHONY: all help deps build run run-coredb test check asan ubsan tsan coverage fuzz format clean install
.PHONY: quiet-deps check-layers check-headers check-format check-exports

all: build ## install what is missing, then build into build/

help: ## say what there is
	@sed -n 's/^\([a-z -]*\):.*## /\1 - /p' $(MAKEFILE_LIST) | \
	    awk -F' - ' '{n = split($$1, t, " "); for (i = 1; i <= n; i++) printf "make %-10s %s\n", t[i], $$2}'

deps: ## install the Debian packages that are missing, for building and testing
	@tools/install_deps.sh test

quiet-deps:
	@tools/install_deps.sh build

build: quiet-deps ## build all programs and libraries
	@test -f $(BUILD)/build.ninja || cmake --preset dev -D ROCKRAFT_TESTS=OFF
	cmake --build $(BUILD) -j $(JOBS)

run-coredb: build ## build and start a Redis-protocol server of one node on port 6379
	exec $(BUILD)/bin/coredb

run: build ## build and start a server of one node on http://127.0.0.1:8000, data in ./data
	@if test -x $(BUILD)/bin/rockraft-http; then \
	    exec $(BUILD)/bin/rockraft-http; \
	else \
	    echo "rockraft-http is not part of this tree yet; see README.md" >&2; exit 1; \
	fi

test: deps ## build and run all tests; TEST_ARGS="-L raft" chooses
	cmake --preset dev -D ROCKRAFT_TESTS=ON
	cmake --build $(BUILD) -j $(JOBS)
	cd $(BUILD) && $(CTEST)

asan ubsan tsan: deps ## build with these sanitizers into build/asan etc. and run the tests
	cmake --preset $@
	cmake --build $(BUILD)/$@ -j $(JOBS)
	cd $(BUILD)/$@ && $(CTEST)

coverage: deps ## run the tests in build/coverage and print how much of each file they reach
	cmake --preset coverage
	cmake --build $(BUILD)/coverage -j $(JOBS)
	cd $(BUILD)/coverage && $(CTEST)
	tools/coverage.py $(BUILD)/coverage

fuzz: deps ## build the fuzz targets into build/fuzz/bin
	cmake --preset fuzz
	cmake --build $(BUILD)/fuzz -j $(JOBS)

check: check-layers check-headers check-format check-exports ## layers, headers, format, exports

check-layers: deps
	tools/check_layers.py

check-headers: deps
	tools/check_headers.sh

check-format: deps
	tools/check_format.sh

check-exports: deps
	tools/check_exports.sh $(BUILD)

format: deps ## format all sources; FILES="..." chooses
	tools/check_format.sh --fix $(FILES)

install: quiet-deps ## install a release build under PREFIX
	cmake --preset release -D CMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build $(BUILD)/release -j $(JOBS)
	cmake --install $(BUILD)/release

clean: ## remove build/
	rm -rf $(BUILD)

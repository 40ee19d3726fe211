# `make` lists what there is to do.

MAKEFLAGS += --no-print-directory
CARGO ?= cargo
# What `make demo` shows; `make demo DRILL="drill --help"` lists the choices.
DRILL ?= drill --fault kill,freeze,planned
# How `make bench` measures: --quick, --json or both.
BENCH ?=
# Where a model has too many orders for all of them, those are tried in which a thread is interrupted
# no more often than this: 3 takes some 15 seconds, 4 a minute and a half.
export LOOM_MAX_PREEMPTIONS ?= 3

# How many failovers of each kind `make bench-failover` carries out; BENCH=--json works there, too.
RUNS ?= 20

# What `make matrix` runs, and on which servers (tests/servers fetches those that are not installed).
LINES ?= redis-6.2 redis-7.0 redis-8.2 valkey-9.1
TESTS ?= follow promotion planned in_a_row waiting partition quarantine unconfirmed adversity deployments

# The libraries for C: with which features, and how compiled (`dev` for tests).
CAPI_FEATURES ?= capi,tls-rustls
CAPI_PROFILE ?= dist
# Where `make install` puts them; DESTDIR, for packages, comes before all of these.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR ?=
# The first part of SWM_ABI_VERSION's life: it grows when a program would have to be compiled anew.
ifeq ($(shell uname -s),Darwin)
SONAME = libswitchmaster.0.dylib
CAPI_LINK = -Wl,-install_name,$(LIBDIR)/$(SONAME)
else
SONAME = libswitchmaster.so.0
CAPI_LINK = -Wl,-soname,$(SONAME)
endif
CAPI_OUT = target/capi/$(patsubst dev,debug,$(CAPI_PROFILE))

# How the benchmarks in C are compiled, and what the static library needs.
C_FLAGS = -std=c99 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -pedantic -Werror -Iinclude
C_LIBS = -lpthread -ldl -lm -lgcc_s

# Which recordings `make recordings` makes anew: all, or CASES="kill freeze".
CASES ?=

.PHONY: help setup redis openssl compilers java browser demo picture capi deb install uninstall test fresh models matrix tsan sanitize fuzz bench contender bench-failover bench-java bench-languages bench-scale bench-stock recordings doc lint msrv

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: redis openssl compilers java browser ## Get what is missing: Redis, OpenSSL's headers, compilers, a JDK, Maven, Chromium (Debian, Ubuntu), and Valkey (pip)
	@tests/servers valkey-9.1 >/dev/null

redis:
	@tests/setup

openssl:
	@tests/setup openssl

compilers:
	@tests/setup c

java:
	@tests/setup java

browser:
	@tests/setup browser

demo: redis ## Fail a throw-away cluster over, three ways, under load, and show the timeline
	$(CARGO) run --release --features cli -- $(DRILL)

picture: redis browser ## Draw docs/drill.png anew: the report of one drill, as a browser shows it
	$(CARGO) run --release --features cli -- drill --fault kill --report target/drill.html
	chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
		--user-data-dir=target/chromium --window-size=1100,840 \
		--screenshot=docs/drill.png file://$(CURDIR)/target/drill.html

capi: ## Build the shared and the static library for C into target/capi (CAPI_PROFILE=dev: quickly)
	@mkdir -p $(CAPI_OUT)
	$(CARGO) rustc --lib --profile $(CAPI_PROFILE) --features $(CAPI_FEATURES) --target-dir target/capi \
		--crate-type cdylib --crate-type staticlib -- -C link-arg=$(CAPI_LINK) \
		--print native-static-libs=$(CAPI_OUT)/native-static-libs

# So that `sudo make install` after `make capi` needs no Rust.
$(CAPI_OUT)/native-static-libs: Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
	@$(MAKE) capi

INSTALL = OUT='$(CAPI_OUT)' SONAME='$(SONAME)' PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' \
	INCLUDEDIR='$(INCLUDEDIR)' DESTDIR='$(DESTDIR)' packaging/install

install: $(CAPI_OUT)/native-static-libs ## Install libraries, headers, pkg-config and CMake files (PREFIX=/usr/local DESTDIR=)
	@$(INSTALL) install

uninstall: ## Remove what `make install` installed (PREFIX=/usr/local DESTDIR=)
	@$(INSTALL) uninstall

deb: ## Build the Debian package of the command into target/deb
	@tests/setup deb
	@packaging/deb

test: setup ## Run every test; the last line is "N passed, N failed"
	@tests/run

fresh: ## Run every test in a clone of its own, as on a machine that has only the languages
	@tests/fresh

models: ## Run the gate and the shelf in every order of their threads (part of `make test`)
	@RUSTFLAGS="--cfg loom" $(CARGO) test --release --package switchmaster-models --target-dir target/models

matrix: setup ## Run the tests that fail over on four lines of servers (LINES=redis-6.2 TESTS=follow)
	@tests/matrix $(LINES) -- $(TESTS)

# Everything is several times slower there, so a drill's promises of time do not count.
tsan: setup ## Run the tests under ThreadSanitizer (five minutes); any report is a failure
	@tests/tsan

sanitize: setup ## Run the programs in C under ASan, UBSan and valgrind (seven minutes); any report is a failure
	@tests/setup valgrind
	@tests/sanitize

fuzz: ## Fuzz everything that reads what others wrote (SECONDS=60: each so long; JOBS=2: so many at a time)
	@tests/fuzz $(or $(SECONDS),60)

bench: redis ## Measure what switchmaster costs (BENCH=--quick: less exactly)
	$(CARGO) bench --bench overhead -- $(BENCH)

contender: capi ## Build the programs that benches/steady.conf names, for a driver that compares clients
	$(CARGO) build --profile bench --example contender
	$(CC) $(C_FLAGS) -o target/release/examples/contender-c benches/c/contender.c \
		target/capi/dist/libswitchmaster.a $(C_LIBS)

bench-scale: setup ## Measure what following many services costs, what idling does, and a start past a black hole
	$(CARGO) bench --features cli --bench scale

bench-failover: redis ## Measure failovers in each way to switch, and hold them against the targets (RUNS=20)
	$(CARGO) run --release --features cli -- drill --runs $(RUNS) \
		--switch-on promotion,confirmation,announcement --targets $(BENCH)

bench-languages: setup capi ## Measure how soon other languages write again after a failover (RUNS=20)
	$(CC) $(C_FLAGS) -o target/capi/writer benches/c/writer.c target/capi/dist/libswitchmaster.a $(C_LIBS)
	@$(MAKE) -C bindings/java contender
	$(CARGO) bench --bench languages -- $(RUNS) c=target/capi/writer \
		"java=java -cp bindings/java/bench/target/classes:bindings/java/bench/target/lib/* io.switchmaster.bench.Writer core" \
		"jedis=java -cp bindings/java/bench/target/classes:bindings/java/bench/target/lib/* io.switchmaster.bench.Writer jedis"

bench-stock: setup ## Fail over beside clients of other makers, and count what they lose (RUNS=20, MANNER=--plain)
	RUNS=$(RUNS) $(CARGO) test --quiet --features cli --test stock -- --nocapture

bench-java: setup ## Measure what a command and a checkout cost in Java, by JMH, beside stock Jedis
	@$(MAKE) -C bindings/java bench

recordings: setup ## Record real failovers anew for the tests (CASES="kill freeze": only these)
	$(CARGO) run --example record -- $(CASES)
	$(CARGO) test --lib recordings

doc: openssl ## Build the documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

lint: openssl msrv ## Check formatting, clippy's lints, the scripts and the oldest Rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	for features in "" tls-rustls tls-native-tls; do \
		$(CARGO) clippy --lib --tests --features "$$features" -- -D warnings || exit 1; done
	RUSTFLAGS="--cfg fuzzing" $(CARGO) check --lib --target-dir target/fuzzcheck
	for script in .ci/run packaging/deb packaging/install tests/stock/build tests/fresh tests/fuzz tests/hiredis tests/matrix tests/msrv tests/run \
		tests/java tests/sanitize tests/servers tests/setup tests/tsan bindings/java/native/build; do \
		bash -n $$script || exit 1; done

msrv: openssl ## Check that the oldest Rust that Cargo.toml promises is enough
	@tests/msrv

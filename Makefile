# One entry point for people and for CI. `make help` lists the targets.

SWIFT   ?= swift
PREFIX  ?= /usr/local
DESTDIR ?=
# What the durability programs require of the binary; with `--require-repair`, the command `repair`.
DURABILITY =
# A folder of its own: other flags than the tests', so that neither build undoes the other.
RELEASE  = --scratch-path .build-static -c release -Xswiftc -static-executable -Xlinker -s
BINARY   = .build-static/release/imgstore

.PHONY: help deps build release test test-all release-test boot-test test-damage test-powercut test-faults test-races fuzz secrets golden lint format demo bench man schemas completions install clean

help:           ## this list
	@grep -E '^[a-z-]+: .*##' Makefile | sed 's/: .*##/\t/' | expand -t 14

deps:           ## install the C libraries and tools that are missing (apt), and say so
	@scripts/deps.sh

build: deps     ## debug build
	$(SWIFT) build

release: deps   ## one static binary: .build-static/release/imgstore
	@scripts/quiet-link.sh $(SWIFT) build $(RELEASE) --product imgstore

test: deps      ## all tests; long sweeps are thinned
	@scripts/test.sh

test-all: deps  ## all tests with whole sweeps, seeds and corpora; an hour or two
	@IMGSTORE_SWEEP=all scripts/test.sh

boot-test: release  ## a kernel boots in qemu with ramdisks that we packed; skipped where there is no qemu
	@scripts/boot-test.sh $(BINARY)

release-test: release  ## the release packs every form, and the usual tools unpack it
	@scripts/release-test.sh $(BINARY)

test-damage: release  ## damages a store in 5,000 ways; COUNT=n, SEED=n (see docs/guarantees.md)
	@python3 Tests/Durability/damage.py --binary $(BINARY) --count $(or $(COUNT),5000) --seed $(or $(SEED),20261128) $(DURABILITY)

test-powercut: release  ## cuts the power in 10,000 ways, on a model; COUNT=n, SEED=n (see docs/guarantees.md)
	@python3 Tests/Durability/powercut.py --binary $(BINARY) --count $(or $(COUNT),10000) --seed $(or $(SEED),20261128) $(DURABILITY)

test-races: release  ## a local user races root's commands, 500 rounds each; ROUNDS=n (see docs/guarantees.md)
	@python3 Tests/Races/races.py --binary $(BINARY) --rounds $(or $(ROUNDS),500); status=$$?; [ $$status = 77 ] || exit $$status

test-faults: release  ## lets 1,000 system calls fail; COUNT=n, SEED=n (see docs/guarantees.md)
	@python3 Tests/Durability/faults.py --binary $(BINARY) --count $(or $(COUNT),1000) --seed $(or $(SEED),20261128)

fuzz: deps      ## feeds the parsers with noise that learns; SECONDS=60 for each (see docs/guarantees.md)
	@SECONDS_EACH=$(or $(SECONDS),60) scripts/fuzz.sh $(PARSERS)

secrets: release  ## what is found in root trees: TREES="DIR DIR" (see docs/secrets.md)
	@scripts/secrets.sh $(BINARY) $(TREES)

golden:         ## writes the expected texts again (Tests/Golden): look at the difference before you commit it
	$(SWIFT) build -c release
	@Tests/Golden/help.sh .build/release/imgstore >Tests/Golden/help.txt
	@rm -rf .build/golden && Tests/Golden/day.sh .build/release/imgstore "$$PWD/.build/golden" >Tests/Golden/day.txt

lint:           ## the formatter as a judge, warnings as errors
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Benchmarks Package.swift

format:         ## the formatter
	$(SWIFT) format format --in-place --recursive --parallel Sources Tests Benchmarks Package.swift

demo: release   ## the main job on a real tree, narrated; leaves nothing behind
	@scripts/demo.sh $(BINARY)

bench: release  ## ratios against the peers on a corpus (see docs/performance.md)
	@Benchmarks/run.sh $(BINARY) $(CORPUS)

man: release    ## manual pages, generated: dist/man/
	@rm -rf dist/man && scripts/manual.py $(BINARY) dist/man

schemas: release  ## JSON Schemas of the --json documents, generated: docs/schema/
	@scripts/schemas.sh $(BINARY) docs/schema

completions: release  ## shell completions, generated: dist/completions/
	@scripts/completions.sh $(BINARY) dist/completions

install: release man completions  ## binary, its xCAT names, manual pages and completions below PREFIX
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/imgstore
	@scripts/links.sh $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 dist/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -d $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 0644 dist/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -D -m 0644 dist/completions/imgstore.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/imgstore
	install -D -m 0644 dist/completions/_imgstore $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_imgstore
	install -D -m 0644 dist/completions/imgstore.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/imgstore.fish

clean:          ## remove what was built
	rm -rf .build .build-static dist

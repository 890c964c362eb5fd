# One entry point for people and for CI. `make help` lists the targets.

SWIFT   ?= swift
PREFIX  ?= /usr/local
DESTDIR ?=
# The version stands in one place: `Workspace.version`.
VERSION := $(shell grep -rhoE 'static let version = "[0-9.]+' Sources/Images | cut -d '"' -f 2)
# What the durability programs require of the binary; with `--require-repair`, the command `repair`.
DURABILITY =
# A folder of its own: other flags than the tests', so that neither build undoes the other.
RELEASE  = --scratch-path .build-static -c release -Xswiftc -static-executable -Xlinker -s
BINARY   = .build-static/release/imgstore
FORMATTED = Sources Tests Benchmarks Examples Package.swift

.PHONY: help
help:
	@awk 'sub(/^##@ /, "") { printf "\n%s\n", $$0 } \
	  /^[a-z-]+:.*##/ { sub(/: .*## /, "\t"); sub(/:.*## /, "\t"); split($$0, part, "\t"); printf "  %-14s %s\n", part[1], part[2] }' Makefile

##@ Start here

.PHONY: demo deps
demo: release   ## show the main job on a tree of this machine's files; leaves nothing behind
	@scripts/demo.sh $(BINARY)

deps:           ## install missing C libraries and tools with apt (and sudo, unless you are root)
	@scripts/deps.sh test

# Root gets missing packages installed, and sees which; everybody else gets their names and a hint.
# IMGSTORE_DEPS=check only checks, whoever runs it.
.PHONY: build-deps test-deps
build-deps:
	@scripts/deps.sh --ensure build
test-deps:
	@scripts/deps.sh --ensure test

##@ Build

.PHONY: build release clean
build: build-deps     ## debug build
	$(SWIFT) build

release: build-deps   ## one static binary: .build-static/release/imgstore
	@scripts/quiet-link.sh $(SWIFT) build $(RELEASE) --product imgstore

clean:                ## remove everything that was built
	rm -rf .build .build-static .build-docs .build-fuzz dist Examples/*/.build

##@ Test

.PHONY: test-fast test test-sweep lint format golden example
test-fast: build-deps ## in-process unit tests of all modules, in under a minute after the build; FILTER=REGEX
	@scripts/test.sh --fast $(if $(FILTER),--filter '$(FILTER)')

test: test-deps       ## all tests; long sweeps are thinned; FILTER=REGEX picks suites or tests
	@scripts/test.sh $(if $(FILTER),--filter '$(FILTER)')

test-sweep: test-deps ## all tests with whole sweeps, seeds and corpora; an hour or two; FILTER=REGEX
	@IMGSTORE_SWEEP=all scripts/test.sh $(if $(FILTER),--filter '$(FILTER)')

lint:                 ## formatter, words, imports, references, codes in comments, sizes, JSON keys
	$(SWIFT) format lint --strict --recursive --parallel $(FORMATTED)
	@scripts/words.py
	@scripts/imports.py
	@scripts/doc-references.py
	@scripts/throws-codes.py
	@scripts/size-rules.py
	@scripts/json-docs.py --check

format:               ## reformat the code in place
	$(SWIFT) format format --in-place --recursive --parallel $(FORMATTED)

golden:               ## rewrite the expected texts in Tests/Golden: review the diff before you commit it
	$(SWIFT) build -c release
	@Tests/Golden/help.sh .build/release/imgstore >Tests/Golden/help.txt
	@rm -rf .build/golden && Tests/Golden/day.sh .build/release/imgstore "$$PWD/.build/golden" >Tests/Golden/day.txt

example: build-deps   ## build Examples/ListSnapshots and run it on a small store
	@scripts/example.sh

##@ Long tests (docs/guarantees.md)

.PHONY: release-test boot-test test-mutations test-damage test-powercut test-faults test-races test-run fuzz
release-test: test-deps release  ## the release packs every form, and the usual tools unpack it
	@scripts/release-test.sh $(BINARY)

boot-test: test-deps release     ## kernels boot in qemu with ramdisks packed by imgstore, and from its server
	@scripts/deps.sh --ensure boot
	@scripts/boot-test.sh $(BINARY)

test-mutations: test-deps        ## break each invariant of a change in a copy: its test must fail; NAMES="NAME NAME"
	@scripts/mutations.py $(NAMES)

test-depot-soak: test-deps        ## writers and collectors on one depot, then a deep check; SECONDS=n, default 180 for each kind of bucket
	@IMGSTORE_SOAK_SECONDS=$(or $(SECONDS),180) scripts/test.sh --filter 'writers and collectors at once'

test-depot-mutations: test-deps   ## break the protocol of depots in a copy: the model test must fail; NAMES="NAME NAME"
	@scripts/depot-mutations.py $(NAMES)

test-damage: test-deps release   ## damage a store in 5,000 ways; COUNT=n, SEED=n
	@python3 Tests/Durability/damage.py --binary $(BINARY) --count $(or $(COUNT),5000) --seed $(or $(SEED),20261128) $(DURABILITY)

test-powercut: test-deps release ## cut the power in 10,000 ways, on a model; COUNT=n, SEED=n
	@python3 Tests/Durability/powercut.py --binary $(BINARY) --count $(or $(COUNT),10000) --seed $(or $(SEED),20261128) $(DURABILITY)

test-faults: test-deps release   ## let 1,000 system calls fail; COUNT=n, SEED=n
	@python3 Tests/Durability/faults.py --binary $(BINARY) --count $(or $(COUNT),1000) --seed $(or $(SEED),20261128)

test-races: test-deps release    ## a local user races root's commands, 500 rounds each; ROUNDS=n
	@python3 Tests/Races/races.py --binary $(BINARY) --rounds $(or $(ROUNDS),500); status=$$?; [ $$status = 77 ] || exit $$status

test-run: test-deps release      ## apt, dnf and hooks by `run`, with failures, Ctrl-C and SIGKILL; COUNT=n, SEED=n
	@python3 Tests/Run/run.py --binary $(BINARY) --operations $(or $(COUNT),30) --seed $(or $(SEED),20261129); status=$$?; [ $$status = 77 ] || exit $$status

browser-test: release             ## the pages of serve in chromium: clicks, axe-core, 400 pixels, dark, without script
	@scripts/deps.sh --ensure browser
	@scripts/browser-test.sh $(BINARY); status=$$?; [ $$status = 77 ] || exit $$status

api-test: release                 ## generated requests against the API of serve and its OpenAPI description; EXAMPLES=n
	@scripts/api-test.sh $(BINARY) $(or $(EXAMPLES),100)

fuzz: test-deps                  ## fuzz the parsers, guided by coverage; SECONDS=60 for each, PARSERS="NAME NAME"
	@SECONDS_EACH=$(or $(SECONDS),60) scripts/fuzz.sh $(PARSERS)

##@ Measure

.PHONY: bench secrets
bench: release        ## the table of docs/performance.md: CORPUS=DIR, BENCH=--docs writes it there
	@Benchmarks/run.sh $(BINARY) $(CORPUS) $(BENCH)

secrets: release      ## list the secrets that root trees hold: TREES="DIR DIR" (docs/secrets.md)
	@scripts/secrets.sh $(BINARY) $(TREES)

##@ Documents

.PHONY: docs man schemas completions session
docs: build-deps      ## API documentation: dist/docs/; fails on links that lead nowhere
	@scripts/docs.sh dist/docs

man: release          ## manual pages: dist/man/
	@rm -rf dist/man && scripts/manual.py $(BINARY) dist/man

schemas: release      ## JSON Schemas of the --json documents: docs/schema/, and the keys in docs/json.md
	@scripts/schemas.sh $(BINARY) docs/schema
	@scripts/json-docs.py

completions: release  ## shell completions: dist/completions/
	@scripts/completions.sh $(BINARY) dist/completions

session: release      ## the terminal session that the README shows: docs/session.svg
	@scripts/session.sh $(BINARY) | scripts/session-svg.py >docs/session.svg

.PHONY: screenshots browser-test api-test
screenshots: release  ## pictures of the pages of serve: docs/screenshots/
	@scripts/deps.sh --ensure browser
	@scripts/browser-test.sh $(BINARY) docs/screenshots

##@ Install and release

.PHONY: install install-files dist deb rpm package-test package-deps unit-test version
package-deps:
	@scripts/deps.sh --ensure package

install: release man completions  ## binary, xCAT names, manual pages and completions below PREFIX (/usr/local)
	@$(MAKE) --no-print-directory install-files

dist: release man completions     ## source tarball, static binary and SHA256SUMS: dist/ (docs/release.md)
	@scripts/dist.sh $(VERSION) $(BINARY)

deb: package-deps release man completions  ## Debian packages: dist/*.deb
	@scripts/packages.sh deb $(VERSION) $(BINARY)

rpm: package-deps release man completions  ## rpm packages: dist/*.rpm
	@scripts/packages.sh rpm $(VERSION) $(BINARY)

unit-test: deb                    ## the units run under systemd in qemu; KERNEL=/boot/vmlinuz-… INITRD=/boot/initrd.img-…
	@scripts/unit-test.sh dist/imgstore_$(VERSION)_$(shell dpkg --print-architecture).deb $(or $(KERNEL),/vmlinuz) $(or $(INITRD),/initrd.img)

package-test: package-deps test-deps release man completions  ## install, upgrade and remove the packages in fresh roots
	@scripts/package-test.sh $(BINARY)

version:                          ## print the version
	@echo $(VERSION)

install-files:
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/imgstore
	@scripts/links.sh $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 dist/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -d $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 0644 dist/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -D -m 0644 dist/completions/imgstore.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/imgstore
	install -D -m 0644 dist/completions/_imgstore $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_imgstore
	install -D -m 0644 dist/completions/imgstore.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/imgstore.fish

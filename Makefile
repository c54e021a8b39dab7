# The front door; Meson and Ninja do the work. Every target installs what it needs by itself.
# The comments that begin with two signs are what "make help" prints.
#
##   make build [CC=clang]       optimised: build/examples/NAME, build/bench/NAME, build/src/libtepal.*
##   make demo [PORT=8080]       builds and serves the to-do list; its data is in ./todo.db
##   make check                  builds, and runs every unit and functional test: 5 minutes at most
##   make gate                   all else that a change must pass: 35 minutes at most
##   make sanitize               a library that finds wrong uses of memory, in build-sanitize/
##   make bench [ARGS=...]       compares tepal with its peers on this machine
##   make lint                   layers, sizes, names and format
##   make format                 lays the C files out by .clang-format
##   make install [PREFIX=/usr/local] [LIBDIR=lib] [DESTDIR=]     with sudo for the system's folders
##   make uninstall [PREFIX=/usr/local] [LIBDIR=lib] [DESTDIR=]
##   make clean
PORT ?= 8080
PREFIX ?= /usr/local
LIBDIR ?= lib
export CC PREFIX LIBDIR DESTDIR

.PHONY: build demo check gate sanitize bench lint format install uninstall clean help

build:
	@scripts/build

demo: build
	@echo "The to-do list is at http://127.0.0.1:$(PORT)/ (Ctrl-C stops it; data in todo.db)"
	@exec build/examples/todo --port $(PORT)

check:
	@scripts/setup check
	@scripts/check

gate:
	@scripts/setup gate
	@scripts/check --gate

sanitize:
	@scripts/build --sanitize

bench:
	@scripts/setup bench
	@bench/install-peers
	@scripts/build --peers
	@bench/run $(ARGS)

lint:
	@scripts/setup gate
	@scripts/check --lint

format:
	@scripts/setup gate
	@git ls-files -z -co --exclude-standard '*.c' '*.h' | xargs -0 clang-format -i

install:
	@scripts/install

uninstall:
	@scripts/install --remove

help:
	@sed -n 's/^##//p' Makefile

# Leaves build-sysroot-aarch64: that is fetched, not built.
clean:
	rm -rf build build-check build-fuzz build-sanitize

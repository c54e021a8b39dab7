# The front door; Meson and Ninja do the work. Every target installs what it needs by itself.
#
#   make build                  optimised: build/examples/NAME, build/bench/NAME, build/src/libtepal.*
#   make demo [PORT=8080]       builds and serves the to-do list; its data is in ./todo.db
#   make check                  the whole gate, up to 20 minutes (scripts/check --quick: one)
#   make bench [ARGS=...]       compares tepal with its peers on this machine
#   make lint                   layers, sizes and format
#   make format                 lays the C files out by .clang-format
#   make install [PREFIX=/usr/local] [LIBDIR=lib] [DESTDIR=]
#   make clean
PORT ?= 8080
PREFIX ?= /usr/local
LIBDIR ?= lib

.PHONY: build demo check bench lint format install clean

build:
	@scripts/setup build
	@test -f build/build.ninja || meson setup build --buildtype=release -Db_lto=true -Dtests=false
	@ninja -C build

demo: build
	@echo "The to-do list is at http://127.0.0.1:$(PORT)/ (Ctrl-C stops it; data in todo.db)"
	@exec build/examples/todo --port $(PORT)

check:
	@scripts/setup check
	@scripts/check

bench:
	@scripts/setup bench
	@bench/install-peers
	@test ! -f build/build.ninja || meson setup --reconfigure build >/dev/null
	@$(MAKE) --no-print-directory build
	@bench/run $(ARGS)

lint:
	@scripts/setup check
	@scripts/check --lint

format:
	@scripts/setup check
	@git ls-files -z -co --exclude-standard '*.c' '*.h' | xargs -0 clang-format -i

install: build
	@meson configure build -Dprefix=$(PREFIX) -Dlibdir=$(LIBDIR)
	@DESTDIR=$(DESTDIR) ninja -C build install
	@test -n "$(DESTDIR)" || ldconfig || true

# Leaves build-sysroot-aarch64: that is fetched, not built.
clean:
	rm -rf build build-check build-fuzz

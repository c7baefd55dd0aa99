# drtool. `make help` lists the targets. V=1 shows the commands, WERROR=1 makes
# warnings errors, SAN=address,undefined or SAN=thread builds with sanitizers.
CC = gcc
SAN ?=
comma := ,
B := build/$(or $(subst $(comma),-,$(SAN)),release)
SRC := $(sort $(wildcard src/*/*.c src/*/*/*.c))
OBJ := $(SRC:%.c=$(B)/%.o)
LIB_OBJ := $(filter-out $(B)/src/cli/main.o,$(OBJ))
VERSION := 0.1.0
RELEASED := November 24, 2026

WARN := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
        -Wcast-qual -Wwrite-strings -Wvla -Wundef -Wduplicated-cond -Wduplicated-branches \
        -Wlogical-op -Wredundant-decls -Wformat-signedness -Wpointer-arith
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
          -fcf-protection=full -ftrivial-auto-var-init=zero -fno-common -fPIE
LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
REPRO := -ffile-prefix-map=$(CURDIR)=. -Wdate-time
# Where Debian keeps the header of libpq.
PQ := $(shell pkg-config --cflags libpq 2>/dev/null)
LIBS := -larchive -lzstd -lsodium -lcurl -lcrypto -lsqlite3 -lpq -lyaml -ljansson -lexpat -lpthread

CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DDRTOOL_VERSION='"$(VERSION)"' \
              -DDRTOOL_RELEASED='"$(RELEASED)"' \
              -Iinclude $(PQ:-I%=-isystem %) -MMD -MP $(WARN) $(if $(WERROR),-Werror) $(REPRO) $(CFLAGS) \
              $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer,$(HARDEN))

PREFIX ?= /usr/local
DESTDIR ?=
Q := $(if $(V),,@)

# Unit tests: ground first, so that the first red one is the nearest to the cause.
LAYERS := $(shell awk '!/^\#/ && $$1 != "lib"' src/LAYERS)
ALL_TESTS := $(sort $(wildcard tests/*/test_*.c))
IN_LAYERS := $(foreach f,$(LAYERS),$(filter tests/$(f)/%,$(ALL_TESTS)))
TESTS := $(IN_LAYERS) $(filter-out $(IN_LAYERS),$(ALL_TESTS))
TEST_BIN := $(TESTS:%.c=$(B)/%)
PROXY := $(B)/tests/servers/proxy
SYNTH := $(B)/tests/bench/synth
BUCKET := $(B)/tests/servers/bucket
SUPPORT_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/support/*.c)))
HEADERS := $(sort $(wildcard include/*/*.h include/*/*/*.h))

all: $(B)/drtool ## build the program

$(B)/drtool: $(OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter tests/%,$<),-Itests) -c -o $@ $<

# An archive, so that a test takes only what it uses and links fast.
$(B)/libdrtool.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcD $@ $^ && ranlib -D $@

$(B)/libsupport.a: $(SUPPORT_OBJ)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcD $@ $^ && ranlib -D $@

$(TEST_BIN): $(B)/tests/%: $(B)/tests/%.o $(B)/libsupport.a $(B)/libdrtool.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LINK) $(LDFLAGS) -o $@ $< $(B)/libsupport.a \
	    $(B)/libdrtool.a $(LIBS) -lcmocka

# The simulation turns the program's threads, clock and chance to its own.
SIM_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/sim/*.c)))
SIM_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,fstat64 stat64 fstatat64 $(addprefix pthread_,create \
            join mutex_lock mutex_unlock cond_wait cond_timedwait cond_signal cond_broadcast \
            rwlock_rdlock rwlock_wrlock rwlock_unlock))

$(B)/tests/sim/sim: $(SIM_OBJ) $(B)/libsupport.a $(B)/libdrtool.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LINK) $(SIM_WRAP) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(PROXY) $(BUCKET): %: %.o
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LINK) $(LDFLAGS) -o $@ $<

$(SYNTH): $(SYNTH).o $(B)/libdrtool.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(PROXY).d $(BUCKET).d $(SYNTH).d $(SIM_OBJ:.o=.d) $(OBJ:.o=.d) $(SUPPORT_OBJ:.o=.d) $(TESTS:%.c=$(B)/%.d)

headers: $(HEADERS:%=$(B)/%.ok) ## each header compiles alone

$(B)/%.h.ok: %.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -fsyntax-only -x c $< && touch $@

tests: $(TEST_BIN) $(PROXY) $(BUCKET) $(SYNTH) ## build the unit tests and what other tests need

unit: $(TEST_BIN) ## run the unit tests alone (with SAN= under a sanitizer)
	@B=$(B) SAN=$(SAN) tests/run-unit $(TEST_BIN)

check: lint headers $(B)/drtool $(TEST_BIN) $(PROXY) ## lint, headers, unit and contract tests; no network, no root
	@B=$(B) SAN=$(SAN) tests/run-unit $(TEST_BIN)

test: ## install what is missing, then everything with real servers; what CI runs
	@tests/install-deps.sh build test
	@MAKE="$(MAKE)" WERROR="$(WERROR)" tests/run-all

sim: $(B)/tests/sim/sim ## simulate a fleet: SEED=1 RUNS=500, and VERBOSE=1 tells each step
	@$< $(or $(SEED),1) $(or $(RUNS),500) $(or $(JOBS),$(shell nproc)) $(VERBOSE)

plants: ## faults planted into copies of the sources, which the simulation must find
	@tests/sim/plants

long: $(B)/drtool $(PROXY) plants ## the full counts of kills, damages, moments and simulated runs
	@$(MAKE) --no-print-directory sim RUNS=10000
	@DRTOOL=$(abspath $(B)/drtool) DRTOOL_LONG=1 tests/e2e/run

distance: ## backups, a lost target and restores over lines of 20, 80 and 200 ms; 15 min
	@tests/install-deps.sh build test
	@$(MAKE) --no-print-directory all $(PROXY)
	@DRTOOL=$(abspath $(B)/drtool) DRTOOL_LONG=1 tests/e2e/run tests/e2e/12-distance.sh

MINUTES ?= 10
chaos: ## two hosts while servers are killed, cut off, rolled back: MINUTES=n, SEED=s repeats
	@tests/install-deps.sh build test
	@$(MAKE) --no-print-directory all $(PROXY)
	@DRTOOL=$(abspath $(B)/drtool) tests/chaos/run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

bench: ## install the peers, then drtool against them on the same files
	@tests/install-deps.sh build bench
	@$(MAKE) --no-print-directory all
	@DRTOOL=$(abspath $(B)/drtool) tests/bench/run

growth: ## how time, memory and requests grow with files, chunks and snapshots; 30 min
	@tests/install-deps.sh build bench
	@$(MAKE) --no-print-directory all $(SYNTH)
	@DRTOOL=$(abspath $(B)/drtool) tests/bench/growth

far: ## drtool against restic over a line of 80 ms
	@tests/install-deps.sh build bench
	@$(MAKE) --no-print-directory all $(BUCKET)
	@DRTOOL=$(abspath $(B)/drtool) tests/bench/far

bench-wal: ## how fast a server's log is archived, beside pgBackRest
	@tests/install-deps.sh build bench
	@$(MAKE) --no-print-directory all $(BUCKET)
	@DRTOOL=$(abspath $(B)/drtool) tests/bench/wal

demo: ## install what is missing, then back up, lose a target, restore and drill
	@tests/install-deps.sh build
	@$(MAKE) --no-print-directory all
	@DRTOOL=$(abspath $(B)/drtool) examples/demo.sh

lint: $(B)/drtool ## layers, banned calls, lengths, freshness of generated files
	@DRTOOL=$(B)/drtool tests/lint/run

format: ## put the sources into the house's form
	clang-format --style=file:tests/lint/clang-format -i \
	    $(SRC) $(HEADERS) $(sort $(wildcard src/*/*.h src/*/*/*.h tests/*/*.c tests/*/*.h))

generate: $(B)/drtool ## make manual pages and completions from the tables
	@DRTOOL=$(B)/drtool tests/lint/generate .

cover: ## lines and branches that the unit tests reach, by file
	@$(MAKE) --no-print-directory B=build/cover CFLAGS="-O0 -g --coverage" HARDEN= tests
	@B=build/cover tests/run-cover $(TESTS)

install: $(B)/drtool ## PREFIX and DESTDIR say where to
	install -D -m 755 $(B)/drtool $(DESTDIR)$(PREFIX)/bin/drtool
	for f in man/*.[1-9]; do \
	    install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$${f##*/} || exit 1; \
	done
	install -D -m 644 completions/drtool.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/drtool
	install -D -m 644 completions/drtool.zsh \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_drtool
	install -D -m 644 completions/drtool.fish \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/drtool.fish
	for f in $$(find examples -type f); do \
	    install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/doc/drtool/$$f || exit 1; \
	done

clean: ## remove what was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: all headers tests unit check test long distance chaos bench bench-wal growth far demo lint format generate cover install clean help
.SECONDARY:
.DELETE_ON_ERROR:

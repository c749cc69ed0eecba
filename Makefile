# SPDX-License-Identifier: Apache-2.0
# viewstamp: how it is built and tested. `make help` lists the targets.
#
# Each folder of source is one static archive, $(BUILD)/<folder>.a, so that a program's link line
# says which rooms it may use (docs/design). Everything made lands in $(BUILD), programs in $(BIN).

BUILD ?= build
BIN ?= bin
VERSION := $(shell sed -n 's/^.define VERSION_TEXT "\(.*\)"/\1/p' common/base/version.h)

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := ar
endif
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
CLANG_FORMAT ?= clang-format-14

# What a user may replace (CFLAGS CPPFLAGS LDFLAGS), and what the project always says.
SANITIZE ?=
# Sanitized code is three times as much, and -O2 takes almost twice as long for it as -O1.
CFLAGS ?= $(if $(SANITIZE),-O1,-O2) -g
CPPFLAGS ?=
LDFLAGS ?=
WERROR ?= 0

LANGUAGE := -std=c11 -D_GNU_SOURCE -I. -I$(BUILD) -pthread
WARNINGS := -Wall -Wextra -Wshadow -Wconversion $(if $(filter 1,$(WERROR)),-Werror)
HARDENING := -fPIE -fstack-protector-strong
HARDENING_LINK := -pie -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
SANITIZERS := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(filter -O0,$(CFLAGS)),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

# --- libraries, by their pkg-config names -------------------------------------------------------
# What each is called by Debian is known to tools/deps.sh, which also installs it.

LIBRARIES := libprotobuf-c libsodium libxxhash libedit jansson inih
TEST_LIBRARIES := check

# Goals that compile need the libraries; the others must work without them. `test` and `check`
# install first and then call make again.
WITHOUT_LIBRARIES := help deps deps-bench clean fuzz-targets format format-check shellcheck mutants mutants-apply lint test check check-rest asan tsan \
    spdx-check man stage uninstall deb test-package
ifneq ($(filter-out $(WITHOUT_LIBRARIES),$(or $(MAKECMDGOALS),all)),)
MISSING := $(shell tools/deps.sh --missing build)
ifneq ($(MISSING),)
$(error missing Debian packages: $(MISSING) - `make deps` installs them)
endif
endif

LIBRARY_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(LIBRARIES) 2>/dev/null)
LIBRARY_LIBS = $(shell $(PKG_CONFIG) --libs $(LIBRARIES) 2>/dev/null) -lJudy -lm
TEST_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(TEST_LIBRARIES) 2>/dev/null)
TEST_LIBS = $(shell $(PKG_CONFIG) --libs $(TEST_LIBRARIES) 2>/dev/null)
LIBRARY_CFLAGS := $(LIBRARY_CFLAGS)
LIBRARY_LIBS := $(LIBRARY_LIBS)
TEST_CFLAGS := $(TEST_CFLAGS)
TEST_LIBS := $(TEST_LIBS)

COMPILE = $(CC) $(LANGUAGE) $(WARNINGS) $(HARDENING) $(CPPFLAGS) $(LIBRARY_CFLAGS) $(CFLAGS) $(SANITIZERS)
LINK = $(CC) -pthread $(HARDENING_LINK) $(CFLAGS) $(SANITIZERS) $(LDFLAGS)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# --- the rooms ----------------------------------------------------------------------------------

PURE_ROOMS := common/base common/wire server/vr server/executor client/proxy
ROOMS := $(PURE_ROOMS) common/os common/settings server/app server/storage server/runtime client/lib client/cli \
         test/support

# main() is kept out of the archives, so that tests can link all the rest of a program.
MAINS := server/main.c client/cli/main.c

# Rooms a program may use, arrows downwards.
SERVER_ROOMS := server/runtime server/storage server/executor server/app server/vr \
                common/settings common/os common/wire common/base
# server/storage: a backup is a checkpoint file.
CLIENT_ROOMS := client/cli client/lib client/proxy server/storage common/settings common/os common/wire common/base
SIM_ROOMS := test/support server/storage server/executor server/app server/vr client/proxy \
             common/wire common/base
TEST_ROOMS := test/support client/cli client/lib client/proxy server/runtime server/storage \
              server/executor server/app server/vr common/settings common/os common/wire common/base

archives = $(patsubst %,$(BUILD)/%.a,$(1))
# base and os use each other's symbols (os brings invariant_failed), hence the group.
group = -Wl,--start-group $(call archives,$(1)) -Wl,--end-group
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

PROTOS := $(wildcard proto/*.proto)
PROTO_HEADERS := $(patsubst %.proto,$(BUILD)/%.pb-c.h,$(PROTOS))
PROTO_SOURCES := $(PROTO_HEADERS:.h=.c)
.SECONDARY: $(PROTO_SOURCES) $(PROTO_HEADERS)

# --- from source to object ----------------------------------------------------------------------

# Holds the compiler and its flags; touched only when they change, so that objects never mix.
FLAGS_FILE := $(BUILD)/flags
FLAGS_NOW := $(COMPILE) | $(LINK)
# Holds the list of sources: an archive is made anew when a file came or went.
SOURCES_FILE := $(BUILD)/sources
remember = $(shell mkdir -p $(BUILD); printf '%s\n' '$(subst ','\'',$(2))' > $(1).$$$$; \
    cmp -s $(1).$$$$ $(1) && rm -f $(1).$$$$ || mv -f $(1).$$$$ $(1))
ifneq ($(filter-out $(WITHOUT_LIBRARIES),$(or $(MAKECMDGOALS),all)),)
$(call remember,$(FLAGS_FILE),$(FLAGS_NOW))
$(call remember,$(SOURCES_FILE),$(wildcard $(addsuffix /*.c,$(ROOMS)) $(PROTOS)))
endif

$(BUILD)/%.o: %.c $(FLAGS_FILE) | $(PROTO_HEADERS)
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(filter test/unit/%,$<),$(TEST_CFLAGS)) -MMD -MP -c -o $@ $<

# Generated code is not ours to warn about; its asserts repeat what the codec has validated.
$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c $(FLAGS_FILE)
	$(say) CC $<
	$(Q)$(COMPILE) -w -DNDEBUG -MMD -MP -c -o $@ $<

$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h &: proto/%.proto
	$(say) PROTOC $<
	@mkdir -p $(@D)
	$(Q)$(PROTOC_C) --proto_path=. --c_out=$(BUILD) $<

define room
$(BUILD)/$(1).a: $(call objects,$(filter-out $(MAINS) $(SUPPORT_MAINS),$(wildcard $(1)/*.c))) $(2) $(SOURCES_FILE)
	$$(say) AR $$@
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$(filter %.o,$$^)
endef

# What lives in test/support and is linked by itself: programs, and the library below.
SUPPORT_MAINS := $(addprefix test/support/,relay.c check_history.c history_client.c disk_shim.c)

$(foreach r,$(filter-out common/wire,$(ROOMS)),$(eval $(call room,$(r),)))
# The wire alone knows protobuf: the generated code is part of its archive.
$(eval $(call room,common/wire,$(PROTO_SOURCES:.c=.o)))

# --- programs -----------------------------------------------------------------------------------

PROGRAMS := $(if $(wildcard server/main.c),$(BIN)/vr-server) \
            $(if $(wildcard client/cli/main.c),$(BIN)/vr-client)

.PHONY: all
all: $(PROGRAMS) $(call archives,$(filter-out test/support,$(ROOMS)))

$(BIN)/vr-server: $(BUILD)/server/main.o $(call archives,$(SERVER_ROOMS))
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(call group,$(SERVER_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

$(BIN)/vr-client: $(BUILD)/client/cli/main.o $(call archives,$(CLIENT_ROOMS))
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(call group,$(CLIENT_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

# --- libraries that are installed ---------------------------------------------------------------

# libvrclient, for the clients of any application: client/lib and what it needs of the rooms below,
# in objects of their own. Those hide everything but what vr/client.h declares; that is also how the
# list of what the library shows is made. Interfaces that go away or change raise SOVERSION.
SOVERSION := 0
LIBRARY_ROOMS := $(filter-out client/cli common/settings,$(CLIENT_ROOMS))
PIC_OBJECTS := $(patsubst %.c,$(BUILD)/pic/%.o,$(wildcard $(addsuffix /*.c,$(LIBRARY_ROOMS)))) \
               $(PROTO_SOURCES:$(BUILD)/%.c=$(BUILD)/pic/%.o)
PIC_COMPILE = $(subst -fPIE,-fPIC -fvisibility=hidden,$(COMPILE))
LIBVRCLIENT := $(BUILD)/libvrclient.a $(BUILD)/libvrclient.so.$(VERSION)

$(BUILD)/pic/%.o: %.c $(FLAGS_FILE) | $(PROTO_HEADERS)
	$(say) CC "$< (PIC)"
	@mkdir -p $(@D)
	$(Q)$(PIC_COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/pic/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c $(FLAGS_FILE)
	$(say) CC "$< (PIC)"
	@mkdir -p $(@D)
	$(Q)$(PIC_COMPILE) -w -DNDEBUG -MMD -MP -c -o $@ $<

# Only what the public functions need comes along (ld -r -u), and only they stay visible.
# $(call merge,OBJECT,ARCHIVES) reads the functions' names from OBJECT.symbols.
merge = $(LD) -r -o $(1) $$(sed 's/^/-u /' $(1).symbols) --start-group $(2) --end-group && \
    $(OBJCOPY) --keep-global-symbols=$(1).symbols $(1)

$(BUILD)/vrclient.o: $(PIC_OBJECTS) $(SOURCES_FILE)
	@rm -f $(BUILD)/pic/all.a
	$(Q)$(AR) qcsD $(BUILD)/pic/all.a $(PIC_OBJECTS)
	$(Q)readelf -sW $(PIC_OBJECTS) | \
	    awk '$$5 == "GLOBAL" && $$6 == "DEFAULT" && $$7 != "UND" { print $$8 }' | sort -u > $@.symbols
	$(Q)$(call merge,$@,$(BUILD)/pic/all.a)

$(BUILD)/libvrclient.a: $(BUILD)/vrclient.o
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcsD $@ $<

# Symbols carry the version of the interface, so that two of them can live in one process.
$(BUILD)/libvrclient.so.$(VERSION): $(BUILD)/vrclient.o
	$(say) LINK $@
	@{ echo 'LIBVRCLIENT_$(SOVERSION) { global:'; sed 's/$$/;/' $<.symbols; echo 'local: *; };'; } > $<.map
	$(Q)$(CC) -shared -pthread -Wl,-soname,libvrclient.so.$(SOVERSION) -Wl,--version-script=$<.map \
	    -Wl,-z,relro,-z,now $(if $(SANITIZERS),,-Wl,-z,defs) $(CFLAGS) $(SANITIZERS) $(LDFLAGS) -o $@ $< \
	    -Wl,--as-needed $(LIBRARY_LIBS)

# libvr, for servers of an application of one's own (vr/app.h, vr/server.h): a replica without the
# key-value store. Static only, for its interface is young.
LIBVR := $(BUILD)/libvr.a
all: $(LIBVRCLIENT) $(LIBVR)
$(BUILD)/vr.o: $(call archives,$(SERVER_ROOMS)) server/runtime/server.h
	@printf '%s\n' $$(grep -oE '\bvr_server_[a-z_]+\(' server/runtime/server.h | tr -d '(' | sort -u) \
	    cluster_parameters_default > $@.symbols
	$(Q)$(call merge,$@,$(filter %.a,$^))

$(LIBVR): $(BUILD)/vr.o
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcsD $@ $<

# --- tests --------------------------------------------------------------------------------------

# The largest first, for they are the longest, and several run at once.
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(shell ls -S test/unit/test_*.c))

.PHONY: unit-programs test-unit
unit-programs: $(UNIT_TESTS)

$(UNIT_TESTS): $(BUILD)/test/unit/%: $(BUILD)/test/unit/%.o $(call archives,$(TEST_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $< $(call group,$(TEST_ROOMS)) -Wl,--as-needed $(TEST_LIBS) $(LIBRARY_LIBS)

# Some of them: make test-unit UNIT='vr_log wal'
test-unit: $(if $(UNIT),$(UNIT:%=$(BUILD)/test/unit/test_%),$(UNIT_TESTS))
	@tools/unit.sh $^

# Tests of what one thread does: of the pure rooms (`make purity` proves that they start none and share
# no variable), of files and of the simulator's checkers. A thread sanitizer has nothing to find there.
ONE_THREAD := $(addprefix $(BUILD)/test/unit/test_,vr_% wire% message proxy core_parts client_table kv% \
    state_file checkpoint_file checkpoint_golden wal% linearizability sim_checkers)
.PHONY: test-unit-threads
test-unit-threads: $(filter-out $(ONE_THREAD),$(UNIT_TESTS))
	@tools/unit.sh $^

# --- the simulator ------------------------------------------------------------------------------

# make sim SEED=n replays one run with its trace; make sim SEEDS=count [START=n] runs many.
SEEDS ?= 200
START ?= 1
# These rooms hold coverage marks (common/base/mark.h). The simulator is linked with objects of their
# own that count them; no other program is, and tools/marks.sh proves it.
MARKED_ROOMS := server/vr server/executor client/proxy
MARKED := $(patsubst %.c,$(BUILD)/marked/%.o,$(wildcard $(addsuffix /*.c,$(MARKED_ROOMS))))
UNMARKED_ROOMS := $(filter-out $(MARKED_ROOMS),$(SIM_ROOMS))

$(BUILD)/marked/%.o: %.c $(FLAGS_FILE) | $(PROTO_HEADERS)
	$(say) CC "$< (marks)"
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DVR_MARKS -MMD -MP -c -o $@ $<

$(BUILD)/sim: $(call objects,$(wildcard test/sim/*.c)) $(MARKED) $(call archives,$(UNMARKED_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(call group,$(UNMARKED_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

# What is released has no trace of the marks.
.PHONY: marks-absent
marks-absent: all $(BUILD)/sim
	@tools/marks.sh $(BUILD)/sim $(PROGRAMS) $(LIBVRCLIENT) $(LIBVR)

.PHONY: sim
sim: $(BUILD)/sim
	@$(if $(SEED),$(BUILD)/sim $(if $(SHRINK),--shrink,--trace) --seed $(SEED),tools/seeds.sh $(BUILD)/sim $(SEEDS) $(START))

# --- small worlds, exhaustively -----------------------------------------------------------------

# make explore EXPLORE_SECONDS=n WORLD="name ...": n seconds a world, or until all of it is seen, and
# as long again for paths at random where it is not.
EXPLORE_SECONDS ?= 600
WORLD ?=
EXPLORE_ROOMS := test/support server/vr common/wire common/base
$(BUILD)/explore: $(call objects,$(wildcard test/explore/*.c)) $(call archives,$(EXPLORE_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(call group,$(EXPLORE_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

# What CI has time for: some seconds, always the same states; and two mutants.
.PHONY: explore explore-quick
explore: $(BUILD)/explore
	@$< --seconds $(EXPLORE_SECONDS) --walks 1000000000 $(WORLD)
explore-quick: $(BUILD)/explore
	@$< --states 20000 --walks 500
	@CC='$(CC)' test/explore/mutants.sh $(BUILD)

# --- fuzzing --------------------------------------------------------------------------------------

# Functions that are fed whatever clang's libFuzzer thinks of, one program each, in a build of their
# own, whose objects count what was reached: make fuzz TARGET=core FUZZ_SECONDS=600. Without TARGET
# `make fuzz` is what throws datagrams at live replicas.
FUZZ_TARGETS := $(patsubst test/fuzz/targets/%.c,%,$(wildcard test/fuzz/targets/*.c))
FUZZ_ROOMS := test/support server/storage server/executor server/app server/vr client/proxy \
              common/os common/wire common/base
FUZZ_VARIABLES := CC=clang-14 SANITIZE=address,undefined CFLAGS='-O1 -g -fsanitize=fuzzer-no-link'
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(BUILD)/fuzz-%)
.PHONY: fuzz-programs fuzz-targets
fuzz-programs: $(FUZZ_PROGRAMS)
$(BUILD)/fuzz-text: $(call archives,client/cli client/lib common/settings)
$(FUZZ_PROGRAMS): $(BUILD)/fuzz-%: $(BUILD)/test/fuzz/targets/%.o $(call archives,$(FUZZ_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ -Wl,--start-group $^ -Wl,--end-group -Wl,--as-needed $(LIBRARY_LIBS)

# What they begin with, made by the real encoders.
$(BUILD)/fuzz_seeds: $(BUILD)/test/fuzz/seeds.o $(call archives,$(FUZZ_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ -Wl,--start-group $^ -Wl,--end-group -Wl,--as-needed $(TEST_LIBS) $(LIBRARY_LIBS)

.PHONY: fuzz-seeds
fuzz-seeds: $(BUILD)/fuzz_seeds
	@mkdir -p $(FUZZ_TARGETS:%=test/fuzz/corpus/%)
	@$< test/fuzz/corpus

# All of them at once, as many as there are cores, from what is committed of each one's inputs.
FUZZ_TARGET_SECONDS ?= 10
fuzz-targets:
	@$(call variant,fuzzing,$(FUZZ_VARIABLES) -j$(JOBS) fuzz-programs)
	@tools/fuzz.sh '$(BUILD)/fuzzing' '$(FUZZ_TARGET_SECONDS)' $(or $(TARGET),$(FUZZ_TARGETS))

# --- real processes -----------------------------------------------------------------------------

TOOL_ROOMS := test/support common/os common/wire common/base
TOOLS := $(BUILD)/relay $(BUILD)/floor $(BUILD)/fuzz $(BUILD)/bench_wire $(BUILD)/idle_floor \
         $(BUILD)/check_history $(BUILD)/history_client
CLUSTER_TOOLS := $(BUILD)/relay $(BUILD)/idle_floor $(BUILD)/check_history $(BUILD)/history_client \
    $(BUILD)/disk_shim.so

$(BUILD)/relay: $(BUILD)/test/support/relay.o
$(BUILD)/check_history: $(BUILD)/test/support/check_history.o
# As strangers' clients do, it uses the library and what is in vr/client.h.
$(BUILD)/history_client: $(BUILD)/test/support/history_client.o $(BUILD)/libvrclient.a
$(BUILD)/floor: $(BUILD)/test/bench/floor.o
$(BUILD)/idle_floor: $(BUILD)/test/bench/idle_floor.o
$(BUILD)/fuzz: $(BUILD)/test/fuzz/fuzz.o
$(BUILD)/bench_wire: $(BUILD)/test/bench/bench_wire.o
$(TOOLS): $(call archives,$(TOOL_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $(filter %.o %/libvrclient.a,$^) $(call group,$(TOOL_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

# A disk that fails on demand, preloaded into a server of any build: never instrumented itself.
DISK_SHIM := $(BUILD)/disk_shim.so
$(DISK_SHIM): test/support/disk_shim.c $(FLAGS_FILE)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LANGUAGE) $(WARNINGS) -O2 -g -fPIC -shared -o $@ $<

CUT_ROOMS := server/executor server/app common/os common/wire common/base
$(BUILD)/bench_cut: $(BUILD)/test/bench/bench_cut.o $(call archives,$(CUT_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $< $(call group,$(CUT_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

# The tests find the programs by these two. CLUSTER names some of them: make test-cluster
# CLUSTER=test_operation.FailOver. CLUSTER_JOBS says how many run at a time; sanitized programs compute
# more than they wait. test-cluster-rest: what is the same in test-cluster-quick is left out; both
# together are test-cluster.
CLUSTER ?=
CLUSTER_JOBS ?= $(if $(SANITIZE),$(shell echo $$(($$(nproc) + 1))))
RUN_PYTHON := VR_BIN='$(abspath $(BIN))' VR_BUILD='$(abspath $(BUILD))' python3 -B

.PHONY: test-cluster test-cluster-quick test-cluster-rest fuzz bench bench-peers bench-failover bench-growth bench-overload deps-bench bench-modes bench-checkpoints bench-wire bench-cut bench-trace
test-cluster test-cluster-quick test-cluster-rest: $(PROGRAMS) $(CLUSTER_TOOLS)
	@$(RUN_PYTHON) test/cluster/run.py $(if $(filter %-quick,$@),--quick) $(if $(filter %-rest,$@),--rest) \
	    $(if $(CLUSTER_JOBS),--jobs $(CLUSTER_JOBS)) $(CLUSTER)

# Everything at once, by a seeded schedule: make chaos MINUTES=45 SEED=100
MINUTES ?= 3
.PHONY: chaos
chaos: $(PROGRAMS) $(CLUSTER_TOOLS)
	@$(RUN_PYTHON) test/cluster/chaos.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

FUZZ_SECONDS ?= 30
ifeq ($(TARGET),)
fuzz: $(PROGRAMS) $(BUILD)/relay $(BUILD)/fuzz
	@$(RUN_PYTHON) test/fuzz/run.py --seconds $(FUZZ_SECONDS)
else
fuzz:
	@$(MAKE) --no-print-directory fuzz-targets FUZZ_TARGET_SECONDS=$(FUZZ_SECONDS)
endif

# BENCH: flags of run.py, peers.py or failover.py: make bench BENCH='--quick'
BENCH ?=
bench: $(PROGRAMS) $(BUILD)/floor
	@$(RUN_PYTHON) test/bench/run.py $(BENCH)

# Clients of other systems, by the libraries that these have; only bench-peers needs them.
PEERS := $(addprefix $(BUILD)/peer_,redis zookeeper etcd)
PEER_LIBS_redis := -lhiredis
PEER_LIBS_zookeeper := -lzookeeper_mt
PEER_LIBS_etcd := -lnghttp2
$(PEERS): $(BUILD)/peer_%: $(BUILD)/test/bench/peer_%.o $(BUILD)/test/bench/peer.o $(BUILD)/client/cli/histogram.o
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $^ $(PEER_LIBS_$*)

# What was not there is installed; services that Debian starts by itself are the administrator's.
deps-bench:
	@tools/deps.sh build test bench

# viewstamp, the floor, Redis, ZooKeeper and etcd, turn by turn.
bench-peers: $(PROGRAMS) $(BUILD)/floor $(PEERS)
	@$(RUN_PYTHON) test/bench/peers.py $(BENCH)

# What a group does when it is offered five times what it can do.
$(BUILD)/slow_server: $(BUILD)/test/bench/slow_server.o $(call archives,$(SERVER_ROOMS))
	$(say) LINK $@
	$(Q)$(LINK) -o $@ $< $(call group,$(SERVER_ROOMS)) -Wl,--as-needed $(LIBRARY_LIBS)

bench-overload: $(PROGRAMS) $(BUILD)/slow_server
	@$(RUN_PYTHON) test/bench/overload.py $(BENCH)

# Whether an update costs more with more keys, more sessions, more uptime: half an hour.
bench-growth: $(PROGRAMS)
	@$(RUN_PYTHON) test/bench/growth.py $(BENCH)

# How long a group is away when its primary dies, and whether views change that need not.
bench-failover: $(PROGRAMS)
	@$(RUN_PYTHON) test/bench/failover.py $(BENCH)

# What each durability costs, beside the disk's own rate of fdatasync.
bench-modes: $(PROGRAMS)
	@$(RUN_PYTHON) test/bench/modes.py

# A start, a replica that was away, memory and disk under an endless flood: several minutes.
bench-checkpoints: $(PROGRAMS)
	@$(RUN_PYTHON) test/bench/checkpoints.py

# What remembering messages costs (WITHOUT=DIR: programs of a build that does not), and following.
bench-trace: $(PROGRAMS)
	@$(RUN_PYTHON) test/bench/trace.py $(if $(WITHOUT),--without '$(WITHOUT)')

# What encoding and decoding cost, without a network.
bench-wire: $(BUILD)/bench_wire
	@$<

# What a checkpoint costs the thread that executes: its longest slice, at a million keys.
bench-cut: $(BUILD)/bench_cut
	@$<

# Breaks the core on purpose, one patch at a time: MUTANTS="v6-longest-log ..." for some of them.
.PHONY: mutants mutants-apply
mutants:
	@test/sim/mutants/run.sh $(MUTANTS)

# A failing seed of a mutant is made small enough to be read.
.PHONY: test-shrink
test-shrink: $(BUILD)/sim
	@MAKE='$(MAKE)' test/sim/mutants/shrink.sh $(BUILD)

# A patch that no longer applies proves nothing: CI asks that all do.
mutants-apply:
	@for p in test/sim/mutants/*.patch; do patch -p1 -s -f --dry-run <$$p >/dev/null || \
	    { echo "$$p does not apply any more"; exit 1; }; done

# --- suites -------------------------------------------------------------------------------------

# Another build beside this one, with its own programs: $(call variant,NAME,VARIABLES)
variant = $(MAKE) --no-print-directory BUILD=$(BUILD)/$(1) BIN=$(BUILD)/$(1)/bin $(2)
ASAN := SANITIZE=address,undefined
TSAN := SANITIZE=thread
JOBS ?= $(shell nproc)

.PHONY: test
test:
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory -j$(JOBS) all unit-programs $(BUILD)/sim $(CLUSTER_TOOLS)
	@tools/suites.sh \
	    'unit tests: $(MAKE) --no-print-directory test-unit' \
	    'simulator: $(MAKE) --no-print-directory sim' \
	    'cluster: $(MAKE) --no-print-directory test-cluster-quick'

# `make test`, then what it leaves out; .ci/run is the same. What gcc builds is what `make test` has
# built, if that, too, had WERROR=1, as in .ci/run: not a second time what differs in nothing.
GCC = $(MAKE) --no-print-directory CC=gcc WERROR=1
.PHONY: check check-rest
check:
	@.ci/run

check-rest:
	@tools/deps.sh build test check
	@tools/suites.sh \
	    'format: $(MAKE) --no-print-directory format-check' \
	    'shellcheck: $(MAKE) --no-print-directory shellcheck' \
	    'licence lines: $(MAKE) --no-print-directory spdx-check' \
	    'mutants apply: $(MAKE) --no-print-directory mutants-apply' \
	    'gcc -Werror: $(GCC) -j$(JOBS) everything' \
	    'clang -Werror: $(call variant,clang,CC=clang-14 WERROR=1 -j$(JOBS) everything)' \
	    'coverage marks are absent: $(GCC) marks-absent' \
	    'purity, gcc: $(GCC) purity' \
	    'purity, clang: $(call variant,clang,CC=clang-14 WERROR=1 purity)' \
	    'unit tests, clang: $(call variant,clang,CC=clang-14 WERROR=1 test-unit)' \
	    'unit tests, ASan+UBSan: $(call variant,asan,$(ASAN) -j$(JOBS) test-unit)' \
	    'unit tests, TSan: $(call variant,tsan,$(TSAN) -j$(JOBS) test-unit-threads)' \
	    'simulator, gcc: $(GCC) -j$(JOBS) sim SEEDS=1800 START=1' \
	    'shrinking: $(GCC) -j$(JOBS) test-shrink' \
	    'simulator, clang: $(call variant,clang,CC=clang-14 WERROR=1 -j$(JOBS) sim SEEDS=1000 START=1801)' \
	    'simulator, ASan+UBSan: $(call variant,asan,$(ASAN) -j$(JOBS) sim SEEDS=200 START=2801)' \
	    'cluster: $(GCC) -j$(JOBS) test-cluster-rest' \
	    'chaos: $(GCC) -j$(JOBS) chaos MINUTES=3 SEED=1' \
	    'cluster, ASan+UBSan: $(call variant,asan,$(ASAN) -j$(JOBS) test-cluster-quick)' \
	    'cluster, TSan: $(call variant,tsan,$(TSAN) -j$(JOBS) test-cluster-quick)' \
	    'small worlds: $(GCC) -j$(JOBS) explore-quick' \
	    'fuzz targets: $(MAKE) --no-print-directory fuzz-targets' \
	    'fuzz, ASan+UBSan: $(call variant,asan,$(ASAN) -j$(JOBS) fuzz FUZZ_SECONDS=30)' \
	    'package: $(GCC) test-package'

.PHONY: everything
everything: all unit-programs $(BUILD)/sim $(BUILD)/explore $(BUILD)/fuzz_seeds $(TOOLS) $(BUILD)/bench_cut $(BUILD)/slow_server $(DISK_SHIM)

.PHONY: asan tsan
asan:
	@$(call variant,asan,$(ASAN) -j$(JOBS) everything)
	@tools/suites.sh \
	    'unit tests, ASan+UBSan: $(call variant,asan,$(ASAN) test-unit)' \
	    'simulator, ASan+UBSan: $(call variant,asan,$(ASAN) sim)' \
	    'cluster, ASan+UBSan: $(call variant,asan,$(ASAN) test-cluster-quick)'
tsan:
	@$(call variant,tsan,$(TSAN) -j$(JOBS) everything)
	@tools/suites.sh \
	    'unit tests, TSan: $(call variant,tsan,$(TSAN) test-unit)' \
	    'cluster, TSan: $(call variant,tsan,$(TSAN) test-cluster-quick)'

.PHONY: purity
purity: $(call archives,$(PURE_ROOMS))
	@tools/purity.sh $(BUILD)

# git ls-files names files that were removed and not yet committed, too.
FORMATTED = $(wildcard $(shell git ls-files -co --exclude-standard '*.c' '*.h'))
.PHONY: format format-check
format:
	@$(CLANG_FORMAT) -i $(FORMATTED)
format-check:
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

.PHONY: shellcheck spdx-check
shellcheck:
	@shellcheck run_cluster.sh .ci/run tools/*.sh packaging/*.sh packaging/completion/* test/package/*.sh \
	    test/explore/*.sh

spdx-check:
	@tools/spdx.sh

# Not part of `check`: its findings are for people to judge.
.PHONY: lint
lint:
	@cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --suppress=missingInclude \
	    --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -I. common server client test/support

# --- around it ----------------------------------------------------------------------------------

.PHONY: deps
deps:
	@tools/deps.sh build test

include packaging/install.mk

.PHONY: clean
clean:
	@rm -rf $(BUILD) $(BIN)

.PHONY: help
help:
	@echo 'make                   bin/vr-server and bin/vr-client'
	@echo 'make deps              installs the Debian packages that are missing'
	@echo 'make test              what a user runs: unit tests, 200 simulated runs, a real cluster; minutes'
	@echo 'make check             all that CI runs'
	@echo 'make sim SEED=n        replays one simulated run with its message trace; SHRINK=1: one that'
	@echo '                       fails, without all that it does not need, as a sequence chart'
	@echo 'make sim SEEDS=n       runs n simulated runs (START=m: from seed m on)'
	@echo 'make test-unit         the unit tests (UNIT="vr_log wal": some of them)'
	@echo 'make test-cluster      the tests with real processes (CLUSTER=name: some of them)'
	@echo 'make explore           every interleaving in small worlds of real cores (EXPLORE_SECONDS=600 WORLD=name)'
	@echo 'make chaos             kills, bad networks, failing disks, damaged files by a seed (MINUTES=3 SEED=1)'
	@echo 'make fuzz              random and mutated datagrams against real replicas (FUZZ_SECONDS=30)'
	@echo 'make fuzz TARGET=core  one of $(FUZZ_TARGETS) in libFuzzer; make fuzz-targets: all, shortly'
	@echo 'make bench-trace       what remembering messages costs, and watching them'
	@echo 'make bench             throughput, latency, CPU per operation, against the floor of this machine'
	@echo 'make bench-peers       the same beside Redis, ZooKeeper and etcd (make deps-bench installs them)'
	@echo 'make bench-growth      CPU per update by keys, sessions and uptime'
	@echo 'make bench-overload    what a group does when it is offered five times what it can do'
	@echo 'make bench-failover    how long a group is away when its primary dies'
	@echo 'make bench-checkpoints restart, catch-up, memory and disk under an endless flood'
	@echo 'make bench-modes       throughput and latency of each durability, and the disk itself'
	@echo 'make mutants           breaks the core on purpose and counts the seeds until that is noticed'
	@echo 'make asan | tsan       tests under address and undefined-behaviour, or thread sanitizer'
	@echo 'make purity            proves that the pure folders import nothing that looks at the world'
	@echo 'make format | lint     clang-format, cppcheck'
	@echo 'make install           PREFIX=/usr/local DESTDIR= ... (packaging/install.mk); make uninstall'
	@echo 'make man | deb         the manuals, the Debian packages, below $(BUILD)/'
	@echo 'make test-package      installs all that, also in a clean root, and tries it (PACKAGE=name: some)'
	@echo 'make clean             removes $(BUILD)/ and $(BIN)/'
	@echo 'Variables: BUILD BIN CC CFLAGS CPPFLAGS LDFLAGS WERROR=1 V=1 SANITIZE=address,undefined NO_DEPS=1'

-include $(shell find $(BUILD)/common $(BUILD)/server $(BUILD)/client $(BUILD)/test $(BUILD)/proto $(BUILD)/pic $(BUILD)/marked \
    -name '*.d' 2>/dev/null)

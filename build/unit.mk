# unit.mk - unit tests and fuzz targets of pure C code; included by Makefile.unix.
#
#   make unit        build each unit test into $(OUT)/unit/ and run it with prove
#   make unit-asan   the same under AddressSanitizer and UBSan, in $(OUT)/unit-asan/
#   make unit-bench  what the hot functions cost, in nanoseconds; judges nothing
#   make fuzz        each fuzz target for FUZZ_SECONDS on a copy of its seeds
#
# To add a unit test: append its name to UNIT_TESTS and say in UNIT_SRC_<name>
# what it is made of, and in UNIT_FLAGS_<name> what it needs besides the usual
# compiler flags, if anything. To add a fuzz target t/fuzz/<name>_fuzz.c with the seeds
# t/fuzz/corpus/<name>/: append <name> to FUZZ_TARGETS, say in FUZZ_SRC_<name>
# what it tests; its seeds then run as the unit test <name>_replay as well.

CC    ?= cc
CLANG ?= clang
PROVE ?= prove
OUT   ?= out

FUZZ_SECONDS ?= 20
# Keeps an input, and with it a run of the target, small. replay.c relies on it.
FUZZ_MAX_LEN ?= 4096

UNIT_TESTS += gate_test
UNIT_SRC_gate_test = t/unit/gate_test.c modules/common/gate.c

UNIT_BENCHES += gate_bench
UNIT_SRC_gate_bench = t/unit/gate_bench.c modules/common/gate.c

FUZZ_TARGETS += gate
FUZZ_SRC_gate = modules/common/gate.c

UNIT_FLAGS = -std=gnu11 -pthread $(or $(WARNINGS),-Wall -Wextra -Werror) -Imodules/common -It/unit
UNIT_SANITIZE = -U_FORTIFY_SOURCE -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# Any header may matter to any test; the tests are few and compile in no time.
UNIT_HEADERS := $(wildcard modules/common/*.h t/unit/*.h)

unit_replays = $(FUZZ_TARGETS:%=%_replay)
unit_programs = $(UNIT_TESTS) $(unit_replays)

# $(call unit_program,name,sources,extra flags): how a program is built, plain and sanitized.
define unit_program
$(OUT)/unit/$(1): $(2) $(UNIT_HEADERS) build/unit.mk
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(CPPFLAGS) -O2 $$(CFLAGS) $$(UNIT_FLAGS) $(3) -o $$@ $(2) $$(LDFLAGS)

$(OUT)/unit-asan/$(1): $(2) $(UNIT_HEADERS) build/unit.mk
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(UNIT_FLAGS) $$(UNIT_SANITIZE) $(3) -o $$@ $(2) $$(LDFLAGS)
endef

$(foreach t,$(UNIT_TESTS) $(UNIT_BENCHES),$(eval $(call unit_program,$(t),$(UNIT_SRC_$(t)),$(UNIT_FLAGS_$(t)))))
$(foreach t,$(FUZZ_TARGETS),$(eval $(call unit_program,$(t)_replay,\
	t/fuzz/replay.c t/fuzz/$(t)_fuzz.c $(FUZZ_SRC_$(t)),-DCORPUS='"t/fuzz/corpus/$(t)"')))

.PHONY: unit unit-asan unit-bench fuzz $(FUZZ_TARGETS:%=fuzz-%)

unit: $(unit_programs:%=$(OUT)/unit/%)
	$(Q)$(PROVE) -e '' $^

unit-asan: $(unit_programs:%=$(OUT)/unit-asan/%)
	$(Q)$(PROVE) -e '' $^

unit-bench: $(UNIT_BENCHES:%=$(OUT)/unit/%)
	@set -e; for program in $^; do $$program; done

fuzz: $(FUZZ_TARGETS:%=fuzz-%)

# A clang without its libFuzzer runtime compiles but does not link, hence the
# probe; what fails after it has passed is a failure. New inputs go into the
# copy, and an input that breaks something into $(OUT)/fuzz/: add it to the seeds.
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%:
	@mkdir -p $(OUT)/fuzz/corpus/$*; set -e; \
	fuzz="$(CLANG) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"; \
	echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n && 0; }' \
	    > $(OUT)/fuzz/probe-$*.c; \
	if ! $$fuzz -o $(OUT)/fuzz/probe-$* $(OUT)/fuzz/probe-$*.c > $(OUT)/fuzz/probe-$*.log 2>&1; then \
	    echo "fuzz: $* skipped: $(CLANG) cannot build a libFuzzer program here (see $(OUT)/fuzz/probe-$*.log)"; \
	    exit 0; \
	fi; \
	rm -f $(OUT)/fuzz/probe-$* $(OUT)/fuzz/probe-$*.c; \
	cp t/fuzz/corpus/$*/* $(OUT)/fuzz/corpus/$*/; \
	$$fuzz -O1 -g $(UNIT_FLAGS) -o $(OUT)/fuzz/$*_fuzz t/fuzz/$*_fuzz.c $(FUZZ_SRC_$*); \
	echo "fuzz: $* for $(FUZZ_SECONDS) seconds"; \
	$(OUT)/fuzz/$*_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=$(FUZZ_MAX_LEN) -timeout=60 \
	    -artifact_prefix=$(OUT)/fuzz/$*- $(OUT)/fuzz/corpus/$* > $(OUT)/fuzz/$*.log 2>&1 \
	    || { tail -n 60 $(OUT)/fuzz/$*.log; exit 1; }; \
	tail -n 2 $(OUT)/fuzz/$*.log

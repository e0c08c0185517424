# unit.mk - unit tests and fuzz targets of the C code; included by Makefile.unix.
#
#   make unit        build each unit test into $(OUT)/unit/ and run it with prove
#   make unit-asan   the same under AddressSanitizer and UBSan, in $(OUT)/unit-asan/
#   make unit-tsan   those that use threads under ThreadSanitizer, in $(OUT)/unit-tsan/
#   make unit-bench  what the hot functions cost, in nanoseconds; judges nothing
#   make fuzz        each fuzz target for FUZZ_SECONDS on a copy of its seeds
#
# To add a unit test: append its name to UNIT_TESTS and say in UNIT_SRC_<name>
# what it is made of, and in UNIT_FLAGS_<name> and UNIT_LIBS_<name> what it needs
# besides the usual flags, if anything. If threads meet in it, append it to UNIT_THREADED
# as well. To add a fuzz target t/fuzz/<name>_fuzz.c with the seeds
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

# With headers of httpd and the library of APR, but without httpd itself.
unit_httpd_tests = accept_judge_test timers_test timers_threads_test crew_test crew_rest_test \
    recall_test recall_watch_test aside_test held_test handover_record_test reload_test $(unit_pollers:%=poller_%_test) $(unit_pollers:%=conn_claim_%_test)
unit_pollers = apr $(if $(filter Linux,$(UNAME)),epoll)
unit_unix = modules/common/unix

UNIT_TESTS += $(unit_httpd_tests)
UNIT_SRC_accept_judge_test = t/unit/accept_judge_test.c modules/common/accept_error.c
UNIT_SRC_timers_test = t/unit/timers_test.c modules/common/timers.c
UNIT_SRC_timers_threads_test = t/unit/timers_threads_test.c modules/common/timers.c
UNIT_SRC_crew_test = t/unit/crew_test.c modules/common/crew.c modules/common/tick.c modules/common/unix/schedule.c
UNIT_SRC_crew_rest_test = t/unit/crew_rest_test.c modules/common/crew.c modules/common/tick.c modules/common/unix/schedule.c modules/common/recall.c
UNIT_SRC_recall_test = t/unit/recall_test.c modules/common/recall.c
UNIT_SRC_reload_test = t/unit/reload_test.c modules/common/unix/reload.c
UNIT_SRC_aside_test = t/unit/aside_test.c modules/common/aside.c
UNIT_SRC_held_test = t/unit/held_test.c modules/common/held.c
UNIT_SRC_handover_record_test = t/unit/handover_record_test.c modules/common/handover_record.c
UNIT_SRC_recall_watch_test = t/unit/recall_watch_test.c modules/common/recall.c
$(foreach p,$(unit_pollers),$(eval UNIT_SRC_poller_$(p)_test = t/unit/poller_test.c $(unit_unix)/poller_$(p).c))
$(foreach p,$(unit_pollers),$(eval UNIT_SRC_conn_claim_$(p)_test = t/unit/conn_claim_test.c \
    $(addprefix modules/common/,conn.c head.c expiry.c crew.c tick.c timers.c gate.c) \
    $(addprefix $(unit_unix)/,ack.c clock.c schedule.c threadstate.c poller_$(p).c)))

# Not those with poller_epoll: the sanitizer does not know that epoll_ctl(EPOLL_CTL_MOD) comes
# before the report that it leads to, and so takes every connection for a race.
UNIT_THREADED += timers_threads_test crew_test crew_rest_test recall_test poller_apr_test conn_claim_apr_test

UNIT_BENCHES += gate_bench
UNIT_SRC_gate_bench = t/unit/gate_bench.c modules/common/gate.c

FUZZ_TARGETS += gate
FUZZ_SRC_gate = modules/common/gate.c

UNIT_FLAGS = -std=gnu11 -pthread $(or $(WARNINGS),-Wall -Wextra -Werror) -Imodules/common -It/unit
UNIT_SANITIZE = -U_FORTIFY_SOURCE -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_TSAN = -U_FORTIFY_SOURCE -O1 -g -fno-omit-frame-pointer -fsanitize=thread
# Asked for when such a test is built, not before: make help works without an httpd.
unit_httpd_flags = $(HTTPD_CPPFLAGS) $(HTTPD_INCLUDES) -DMPMX_MODULE=mpm_unit
unit_apr_libs = $(call once,unit_apr_libs,$(call unit_with_rpath,$(shell $(call ask_apxs,APR_CONFIG) --link-ld --libs)))
unit_with_rpath = $(1) $(patsubst -L%,-Wl$(comma)-rpath$(comma)%,$(filter -L%,$(1)))
$(foreach t,$(unit_httpd_tests),$(eval UNIT_FLAGS_$(t) = $$(unit_httpd_flags)))
$(foreach t,$(unit_httpd_tests),$(eval UNIT_LIBS_$(t) = $$(unit_apr_libs)))
unit_apu_libs = $(call once,unit_apu_libs,$(call unit_with_rpath,$(shell $(call ask_apxs,APU_CONFIG) --link-ld)))
UNIT_LIBS_held_test = $(unit_apu_libs) $(unit_apr_libs)
# Any header may matter to any test; the tests are few and compile in no time.
UNIT_HEADERS := $(wildcard modules/common/*.h t/unit/*.h)

unit_replays = $(FUZZ_TARGETS:%=%_replay)
unit_programs = $(UNIT_TESTS) $(unit_replays)

# $(call unit_program,name,sources): how a program is built, plain and sanitized.
define unit_program
$(call unit_rule,unit,-O2 $$(CFLAGS) $$(UNIT_FLAGS),$(1),$(2))
$(call unit_rule,unit-asan,$$(CFLAGS) $$(UNIT_FLAGS) $$(UNIT_SANITIZE),$(1),$(2))
$(call unit_rule,unit-tsan,$$(CFLAGS) $$(UNIT_FLAGS) $$(UNIT_TSAN),$(1),$(2))
endef

# $(call unit_rule,directory,flags,name,sources)
define unit_rule
$(OUT)/$(1)/$(3): $(4) $(UNIT_HEADERS) build/unit.mk
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(CPPFLAGS) $(2) $$(UNIT_FLAGS_$(3)) -o $$@ $(4) $$(LDFLAGS) $$(UNIT_LIBS_$(3))

endef

$(foreach t,$(UNIT_TESTS) $(UNIT_BENCHES),$(eval $(call unit_program,$(t),$(UNIT_SRC_$(t)))))
$(foreach t,$(FUZZ_TARGETS),$(eval UNIT_FLAGS_$(t)_replay = -DCORPUS='"t/fuzz/corpus/$(t)"'))
$(foreach t,$(FUZZ_TARGETS),$(eval $(call unit_program,$(t)_replay,\
	t/fuzz/replay.c t/fuzz/$(t)_fuzz.c $(FUZZ_SRC_$(t)))))

.PHONY: unit unit-asan unit-tsan unit-bench fuzz $(FUZZ_TARGETS:%=fuzz-%)

unit: $(unit_programs:%=$(OUT)/unit/%)
	$(Q)$(PROVE) -e '' $^

unit-asan: $(unit_programs:%=$(OUT)/unit-asan/%)
	$(Q)$(PROVE) -e '' $^

unit-tsan: $(UNIT_THREADED:%=$(OUT)/unit-tsan/%)
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

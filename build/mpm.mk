# How one MPM is built: the common library and the MPM's own policy, all compiled for that module.
# Every object is compiled once per MPM, because httpd finds a log line's level through the module
# record that the file was compiled for (MPMX_MODULE).

poller_files := $(wildcard modules/common/unix/poller_*.c)
poller_file := modules/common/unix/poller_$(POLLER).c
ifeq ($(filter $(poller_file),$(poller_files)),)
ifneq ($(poller_files),)
$(error POLLER=$(POLLER) does not exist; there are: $(patsubst modules/common/unix/poller_%.c,%,$(poller_files)))
endif
endif

common_sources := $(wildcard modules/common/*.c) \
    $(filter-out $(poller_files),$(wildcard modules/common/unix/*.c)) $(filter $(poller_file),$(poller_files))

DSOS := $(foreach mpm,$(MPMS),$(OUT)/mod_mpmx_$(mpm).so)

# $(1): the MPM's short name: its directory in modules/, mpm_<name>_module, mod_mpmx_<name>.so.
define mpm_rules
objects_dir_$(1) := $(OUT)/obj/$(1)-$(POLLER)
objects_$(1) := $$(patsubst modules/%.c,$$(objects_dir_$(1))/%.o,$(common_sources) $$(wildcard modules/$(1)/*.c))
compile_$(1) = $$(COMPILE) -DMPMX_MODULE=mpm_$(1)

# The headers of httpd are listed too (-MD, not -MMD): an upgrade of httpd in place must rebuild.
$$(objects_dir_$(1))/%.o: modules/%.c $$(objects_dir_$(1))/compile
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$$(Q)$$(compile_$(1)) -MD -MP -c -o $$@ $$<

$(OUT)/mod_mpmx_$(1).so: $$(objects_$(1)) $$(objects_dir_$(1))/link
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK) -o $$@ $$(objects_$(1))

$(call stamp_rule,$$(objects_dir_$(1))/compile,$$(compile_$(1)))
$(call stamp_rule,$$(objects_dir_$(1))/link,$$(LINK) $$(objects_$(1)))

-include $$(objects_$(1):.o=.d)
endef

$(foreach mpm,$(MPMS),$(eval $(call mpm_rules,$(mpm))))

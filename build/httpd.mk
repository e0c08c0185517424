# What the httpd to build for says about itself. Everything comes from its apxs: no path, no
# compiler and no option of any distribution is assumed.

APXS ?= $(firstword $(foreach name,apxs2 apxs,$(shell command -v $(name) 2>/dev/null)))

# Every target that builds or installs reads at least one answer; clean and help read none and
# work without an httpd. Hence the answers are expanded on first use, once: $(call once,NAME,value).
once = $(eval $(1) := $(2))$($(1))

apxs_missing = no apxs found: install the development files of httpd (Debian: apache2-dev), or name one with APXS=/path/to/apxs
apxs_silent = APXS=$(APXS) does not say where httpd's headers are; is it httpd's apxs?
apxs_works = $(call once,apxs_works,$(if $(APXS),$(if $(shell $(APXS) -q INCLUDEDIR 2>/dev/null),yes,$(error $(apxs_silent))),$(error $(apxs_missing))))
ask_apxs = $(if $(apxs_works),$(shell $(APXS) -q $(1) 2>/dev/null))

LIBEXECDIR     = $(call once,LIBEXECDIR,$(call ask_apxs,LIBEXECDIR))
HTTPD_INCLUDES = $(call once,HTTPD_INCLUDES,$(call httpd_includes))
HTTPD_CFLAGS   = $(call once,HTTPD_CFLAGS,$(foreach v,CFLAGS EXTRA_CFLAGS,$(call ask_apxs,$v)))
HTTPD_CPPFLAGS = $(call once,HTTPD_CPPFLAGS,$(foreach v,CPPFLAGS EXTRA_CPPFLAGS NOTEST_CPPFLAGS,$(call ask_apxs,$v)))

# Headers of httpd and APR are system headers to us: their warnings are not ours to repair. The
# compiler's own directories must not be named again, or its header wrappers come in the wrong order.
httpd_includes = $(addprefix -isystem ,$(filter-out /usr/include,$(sort \
    $(foreach v,INCLUDEDIR APR_INCLUDEDIR APU_INCLUDEDIR,$(call ask_apxs,$v)))))

# The compiler that built httpd, unless one is given on the command line or in the environment.
ifeq ($(origin CC),default)
CC = $(call once,CC,$(call ask_apxs,CC))
endif

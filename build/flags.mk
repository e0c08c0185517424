# Compiler and linker flags, and where the results of each kind of build go.

UNAME := $(shell uname -s)
NM ?= nm
Q := $(if $(filter-out 0,$(V)),,@)
# $(call say,WORD,file): the short line that stands for a command unless V=1.
say = $(if $(Q),@printf '%-4s %s\n' '$(1)' '$(2)',)

# ---- variants ----
# Builds of different kinds never share a directory, so they can exist side by side:
# out/ is the plain one, others are out/apr, out/asan, out/debug, out/apr-asan, ...

default_poller := $(if $(filter Linux,$(UNAME)),epoll,apr)
POLLER ?= $(default_poller)
SANITIZE ?=
DEBUG ?=

empty :=
space := $(empty) $(empty)
comma := ,
debug := $(filter-out 0,$(DEBUG))
sanitizer_name = $(if $(findstring address,$(1)),asan,$(subst $(comma),+,$(1)))
variant := $(subst $(space),-,$(strip \
    $(filter-out $(default_poller),$(POLLER)) \
    $(if $(SANITIZE),$(call sanitizer_name,$(SANITIZE))) \
    $(if $(debug),debug)))
OUT := out$(if $(variant),/$(variant))

# ---- flags ----
# Order: what httpd was built with (which may say nothing about optimisation), then ours, then the
# user's CFLAGS, CPPFLAGS and LDFLAGS.

# Hooks and directive handlers have the parameters httpd gives them, used or not, and tables of
# httpd end in a deliberately short { NULL }: these two warnings would only report that.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
    -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wundef \
    -Wno-unused-parameter -Wno-missing-field-initializers

MPMX_CPPFLAGS := -Imodules/common
MPMX_CFLAGS := -std=gnu11 -pthread -fPIC -fvisibility=hidden $(WARNINGS)
# Undefined symbols are resolved by the httpd that loads the DSO, so the linker must accept them.
MPMX_LDFLAGS := -shared -pthread -Wl,-z,now,-z,relro

# _FORTIFY_SOURCE needs an optimising compiler and hides errors from the sanitizers. Undefined
# behaviour ends the process as other findings do: beside AddressSanitizer its reports go to stderr
# whatever log_path says, and httpd has times without one.
ifneq ($(SANITIZE),)
MPMX_CFLAGS += -O1 -g -U_FORTIFY_SOURCE -DAP_DEBUG -fno-omit-frame-pointer \
    -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
MPMX_LDFLAGS += -fsanitize=$(SANITIZE)
endif
ifneq ($(debug),)
MPMX_CFLAGS += -O0 -g3 -U_FORTIFY_SOURCE -DAP_DEBUG
endif

COMPILE = $(CC) $(HTTPD_CPPFLAGS) $(MPMX_CPPFLAGS) $(HTTPD_INCLUDES) $(CPPFLAGS) -O2 -g $(HTTPD_CFLAGS) $(MPMX_CFLAGS) $(CFLAGS)
LINK = $(CC) $(MPMX_LDFLAGS) $(LDFLAGS)

# ---- a change of flags rebuilds ----
# $(call stamp_rule,file,text): the file is rewritten only when the text differs from what it holds,
# so that what depends on it is rebuilt when, for instance, APXS or CFLAGS changed.
define stamp_rule
$(1): FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(subst ','\'',$(2))' | cmp -s - $$@ || printf '%s\n' '$$(subst ','\'',$(2))' > $$@
endef

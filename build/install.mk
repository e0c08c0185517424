# Putting the DSOs into httpd's module directory, and taking them away again. Activating one means
# editing the server's configuration and stays with the administrator. No stock file is overwritten:
# stock modules are called mod_mpm_*.so.

.PHONY: install uninstall

installed_name = $(DESTDIR)$(LIBEXECDIR)/mod_mpmx_$(1).so

# The old file is removed first, never written into: a running server still maps it.
install: $(DSOS)
ifeq ($(DESTDIR),)
	@for mpm in $(MPMS); do \
	    rm -f $(call installed_name,$$mpm) && \
	    $(APXS) -i -n mpm_$$mpm $(OUT)/mod_mpmx_$$mpm.so || exit 1; \
	done
else
	mkdir -p $(DESTDIR)$(LIBEXECDIR)
	@for mpm in $(MPMS); do \
	    rm -f $(call installed_name,$$mpm) && \
	    cp $(OUT)/mod_mpmx_$$mpm.so $(call installed_name,$$mpm) && \
	    chmod 644 $(call installed_name,$$mpm) || exit 1; \
	done
endif
	@echo 'Installed, not activated. To use one, put its line in the place of that of the present MPM:'
	@for mpm in $(MPMS); do echo "    LoadModule mpm_$${mpm}_module $(LIBEXECDIR)/mod_mpmx_$$mpm.so"; done
	@echo 'build/conf/ holds examples with all directives, for a plain httpd.conf and for mods-available.'

uninstall:
	rm -f $(foreach mpm,$(MPMS),$(call installed_name,$(mpm)))

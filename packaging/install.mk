# SPDX-License-Identifier: Apache-2.0
# What is installed, and where. Included by the Makefile.
#
# Every place can be given on its own, as packagers are used to; DESTDIR goes before all of them and
# is written into nothing.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/viewstamp
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
COMPLETIONDIR ?= $(DATADIR)/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
INSTALL ?= install
SCDOC ?= scdoc

# --- manuals: one source each, docs/man/NAME.SECTION.scd ------------------------------------------

MANUALS := $(patsubst docs/man/%.scd,$(BUILD)/man/%,$(wildcard docs/man/*.scd))
# The day of the version, not of the build: two builds of one version are the same.
MANUAL_DAY := $(shell sed -n 's/^\#\# \[$(VERSION)\] - \([0-9-]*\).*/\1/p' CHANGELOG.md)

.PHONY: man
man: $(MANUALS)

$(BUILD)/man/%: docs/man/%.scd CHANGELOG.md common/base/version.h
	@command -v $(SCDOC) >/dev/null || { echo 'missing Debian package: scdoc, which makes the manuals' \
	    '- `tools/deps.sh install` installs it'; exit 1; }
	$(say) MAN $@
	@mkdir -p $(@D)
	$(Q)sed 's/@VERSION@/$(VERSION)/g' $< | SOURCE_DATE_EPOCH=$$(date -u -d '$(MANUAL_DAY)' +%s) $(SCDOC) > $@

# --- texts that name the places -------------------------------------------------------------------

STAGE := $(BUILD)/install
PLACES = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' \
    -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@VERSION@|$(VERSION)|g'
# Public headers are known by other names outside: vr/NAME.h
HEADER_NAMES := client.h app.h server.h types.h
AS_PUBLIC := sed -e 's|"common/base/public.h"|"vr/types.h"|' -e 's|"server/app/app.h"|"vr/app.h"|' \
    -e 's|"server/runtime/server.h"|"vr/server.h"|'

.PHONY: stage
stage: packaging/vrclient.pc.in packaging/vr.pc.in packaging/vr-server@.service.in
	@mkdir -p $(STAGE)/vr
	@for text in $^; do $(PLACES) $$text > $(STAGE)/$$(basename $$text .in) || exit 1; done
	@$(AS_PUBLIC) client/lib/vr/client.h > $(STAGE)/vr/client.h
	@$(AS_PUBLIC) server/app/app.h > $(STAGE)/vr/app.h
	@$(AS_PUBLIC) server/runtime/server.h > $(STAGE)/vr/server.h
	@$(AS_PUBLIC) common/base/public.h > $(STAGE)/vr/types.h
	@! grep -nE '^#include "(common|server|client)/' $(STAGE)/vr/*.h

# --- installing -----------------------------------------------------------------------------------

LINK_NAMES := libvrclient.so.$(SOVERSION) libvrclient.so
# Of what is installed: run_cluster.sh belongs to a clone, and stays there.
COMPLETIONS := $(filter $(notdir $(PROGRAMS)),$(notdir $(wildcard packaging/completion/*)))
DOCUMENTS := README.md CHANGELOG.md docs/vr.conf.example
# As they lie here, so that their links, and those of README.md, lead somewhere.
PAGES := $(wildcard docs/*.md docs/*.png) docs/vr.conf.example
EXAMPLES := $(wildcard examples/*)

.PHONY: install uninstall
install: all man stage
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(PKGCONFIGDIR)' \
	    '$(DESTDIR)$(INCLUDEDIR)/vr' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(COMPLETIONDIR)' \
	    '$(DESTDIR)$(DOCDIR)/docs' '$(DESTDIR)$(DOCDIR)/examples' $(patsubst %,'$(DESTDIR)$(MANDIR)/man%',1 3 5 8)
	$(INSTALL) -m 755 $(PROGRAMS) '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(LIBVRCLIENT) $(LIBVR) '$(DESTDIR)$(LIBDIR)'
	for name in $(LINK_NAMES); do ln -sf libvrclient.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/'$$name || exit 1; done
	$(INSTALL) -m 644 $(addprefix $(STAGE)/vr/,$(HEADER_NAMES)) '$(DESTDIR)$(INCLUDEDIR)/vr'
	$(INSTALL) -m 644 $(STAGE)/vrclient.pc $(STAGE)/vr.pc '$(DESTDIR)$(PKGCONFIGDIR)'
	$(INSTALL) -m 644 $(STAGE)/vr-server@.service '$(DESTDIR)$(UNITDIR)'
	$(INSTALL) -m 644 $(addprefix packaging/completion/,$(COMPLETIONS)) '$(DESTDIR)$(COMPLETIONDIR)'
	for page in $(MANUALS); do \
	    $(INSTALL) -m 644 $$page '$(DESTDIR)$(MANDIR)/man'$${page##*.} || exit 1; done
	$(INSTALL) -m 644 $(DOCUMENTS) '$(DESTDIR)$(DOCDIR)'
	$(INSTALL) -m 644 $(PAGES) '$(DESTDIR)$(DOCDIR)/docs'
	$(INSTALL) -m 644 $(EXAMPLES) '$(DESTDIR)$(DOCDIR)/examples'

# Takes away what install put there (give it the same places), and directories that are ours alone.
# Data of replicas is not there, and stays.
uninstall:
	rm -f $(foreach name,$(notdir $(PROGRAMS)),'$(DESTDIR)$(BINDIR)/$(name)') \
	    $(foreach name,$(notdir $(LIBVRCLIENT) $(LIBVR)) $(LINK_NAMES),'$(DESTDIR)$(LIBDIR)/$(name)') \
	    $(foreach name,$(HEADER_NAMES),'$(DESTDIR)$(INCLUDEDIR)/vr/$(name)') \
	    '$(DESTDIR)$(PKGCONFIGDIR)/vrclient.pc' '$(DESTDIR)$(PKGCONFIGDIR)/vr.pc' \
	    '$(DESTDIR)$(UNITDIR)/vr-server@.service' \
	    $(foreach name,$(COMPLETIONS),'$(DESTDIR)$(COMPLETIONDIR)/$(name)') \
	    $(foreach page,$(notdir $(MANUALS)),'$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page)')
	rm -rf '$(DESTDIR)$(DOCDIR)'
	-rmdir '$(DESTDIR)$(INCLUDEDIR)/vr'

# --- the Debian package ---------------------------------------------------------------------------

# Built from a copy, so that nothing is left among the sources: $(BUILD)/deb/*.deb
.PHONY: deb test-package
deb:
	@tools/deps.sh build package
	@packaging/deb.sh $(BUILD)/deb $(VERSION)

# Manuals, completion, unit, what `make install` installs, and the packages in a clean root.
# PACKAGE names some of them: make test-package PACKAGE=test_manual
PACKAGE ?=
test-package:
	@tools/deps.sh build test package
	@$(MAKE) --no-print-directory -j$(JOBS) all man
	@$(RUN_PYTHON) test/package/run.py $(PACKAGE)

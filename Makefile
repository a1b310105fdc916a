# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# weir: the whole build. The directories list nouns, scripts/ holds the verbs;
# Documentation/build.rst tells how it works. "make help" lists what it does.

VERSION    := 0
PATCHLEVEL := 1
SUBLEVEL   := 0
WEIR_VERSION := $(VERSION).$(PATCHLEVEL).$(SUBLEVEL)

MAKEFLAGS += -rR --no-print-directory

comma := ,

# Objects always go to O, so that the source tree stays clean. A sanitized
# build gets a tree of its own, so that it never mixes with the plain one.
O := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
export srctree := $(CURDIR)
export objtree := $(abspath $(O))

ifeq ($(V),1)
  quiet :=
  Q     :=
else
  quiet := quiet_
  Q     := @
endif
ifneq ($(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
  quiet := silent_
endif
export quiet Q

# LLVM=1 takes the LLVM tools, LLVM=-19 those of that version, LLVM=/dir/ those
# in that directory.
ifneq ($(LLVM),)
  llvm_prefix := $(if $(filter %/,$(LLVM)),$(LLVM))
  llvm_suffix := $(if $(filter -%,$(LLVM)),$(LLVM))
  CC    := $(llvm_prefix)clang$(llvm_suffix)
  CLANG := $(llvm_prefix)clang$(llvm_suffix)
  AR    := $(llvm_prefix)llvm-ar$(llvm_suffix)
endif
ifeq ($(origin CC),default)
  CC := gcc
endif
ifeq ($(origin AR),default)
  AR := ar
endif
CLANG      ?= clang
# Debian keeps it where an ordinary user's PATH does not look.
BPFTOOL    ?= $(firstword $(shell command -v bpftool) $(wildcard /usr/sbin/bpftool) bpftool)
BPFTOOL    := $(BPFTOOL)
PKG_CONFIG ?= pkg-config
CFLAGS     ?= -O2 -g
export CC AR CLANG BPFTOOL PKG_CONFIG WEIR_VERSION

prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
libdir     ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir     ?= $(prefix)/share/man
bashcompdir ?= $(prefix)/share/bash-completion/completions

# Every switch there is. A misspelt one must not be taken for "default".
switches := CONFIG_URING CONFIG_BPF CONFIG_XDP CONFIG_CK CONFIG_RESOLVE CONFIG_TLS CONFIG_DEBUG
given    := $(foreach v,$(filter CONFIG_%,$(.VARIABLES)),$(if		\
		$(filter command environment,$(firstword $(origin $(v)))),$(v)))
unknown  := $(filter-out $(switches),$(foreach v,$(given),$(if		\
		$(filter command,$(firstword $(origin $(v)))),$(v))))
ifneq ($(unknown),)
  $(error unknown switch $(unknown); there are: $(switches))
endif
config-args := $(foreach v,$(filter $(switches),$(given)),$(v)=$($(v)))

ifneq ($(filter-out address undefined thread leak,$(subst $(comma), ,$(SAN))),)
  $(error SAN=$(SAN): there are address, undefined, leak and thread)
endif
san-flags := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)

WEIR_CFLAGS := -std=gnu11 -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE	\
	       -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes		\
	       -Wno-unused-parameter						\
	       -I$(srctree)/include -I$(objtree)/include			\
	       -include $(objtree)/include/generated/config.h
ifeq ($(W),1)
WEIR_CFLAGS += -Wshadow -Wundef -Wcast-align -Wvla -Wpointer-arith -Werror
endif
WEIR_CFLAGS += $(CFLAGS) $(san-flags) $(EXTRA_CFLAGS)
WEIR_LDFLAGS := -pthread $(san-flags) $(LDFLAGS)
multiarch := $(shell $(CC) -print-multiarch 2>/dev/null || gcc -print-multiarch 2>/dev/null)
WEIR_BPFFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall $(if $(filter 1,$(W)),-Werror) -I$(srctree)/include	\
		 $(if $(multiarch),-I/usr/include/$(multiarch))
export WEIR_CFLAGS WEIR_LDFLAGS WEIR_BPFFLAGS SAN

WEIR_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir
ktools     := $(WEIR_CACHE)/ktools
KSELFTEST  ?= $(ktools)
# checkpatch and kernel-doc: they came along, or lie in the same kernel tree
kscripts   := $(if $(filter $(ktools),$(KSELFTEST)),$(ktools),$(abspath $(KSELFTEST)/../../../scripts))
export WEIR_CACHE KSELFTEST

build := -C $(objtree) -f $(srctree)/scripts/Makefile.build obj

PHONY := all config configured bpf lib tools tests ktools
all: lib bpf tools

# Probes once, and again when the switches or compilers are others than last
# time, or when something that was missing may have been installed since.
configured:
	$(Q)$(srctree)/scripts/config $(objtree) $(config-args)
config:
	$(Q)rm -f $(objtree)/config.mk
	$(Q)$(srctree)/scripts/config $(objtree) $(config-args)
bpf: configured
	$(Q)$(MAKE) $(build)=bpf
lib: bpf
	$(Q)$(MAKE) $(build)=lib
tools: lib
	$(Q)$(MAKE) $(build)=tools
tests: lib tools $(KSELFTEST)/kselftest_harness.h
	$(Q)$(MAKE) $(build)=tests

$(ktools)/kselftest_harness.h:
	$(Q)$(srctree)/scripts/get-ktools.sh $(ktools)
ktools: $(KSELFTEST)/kselftest_harness.h

# --- checks ---------------------------------------------------------------
PHONY += check check-tests check-layers check-abi check-style

# All of them, whatever fails first; and the tests last, so that the last line
# is the one that counts them.
gates := check-layers check-abi check-style
check: tests
	$(Q)failed=;								\
	for gate in $(gates); do						\
		$(MAKE) $$gate || failed="$$failed $$gate";			\
	done;									\
	FAILED_GATES="$${failed# }" $(srctree)/scripts/run-tests.sh $(objtree)/tests
check-tests: tests
	$(Q)$(srctree)/scripts/run-tests.sh $(objtree)/tests
check-layers:
	$(Q)$(srctree)/scripts/check-layers.sh
check-abi: lib $(KSELFTEST)/kselftest_harness.h
	$(Q)$(srctree)/scripts/check-abi.sh $(objtree) $(kscripts)
check-style: $(KSELFTEST)/kselftest_harness.h
	$(Q)$(srctree)/scripts/check-style.sh $(kscripts) $(FILES)

# Seeded worlds in the simulated kernel, as many as there is patience for.
PHONY += sim
SEEDS ?= 10000
sim: tests
	$(Q)WEIR_SIM_SEEDS=$(SEEDS) $(if $(FIRST),WEIR_SIM_FIRST=$(FIRST)) $(objtree)/tests/test_sim

# --- what it is for -------------------------------------------------------
PHONY += demo bench plots
demo: all
	$(Q)$(objtree)/tools/weir demo $(DEMO_ARGS)
bench: all
	$(Q)$(srctree)/tools/bench/run.sh $(objtree) $(BENCH_ARGS)
plots: all
	$(Q)$(srctree)/scripts/plots.py $(objtree) $(PLOTS)

# --- installation ---------------------------------------------------------
PHONY += install uninstall
# Exported here alone: a make run by a test must derive its own from prefix.
install uninstall: export DESTDIR := $(DESTDIR)
install uninstall: export prefix := $(prefix)
install uninstall: export bindir := $(bindir)
install uninstall: export libdir := $(libdir)
install uninstall: export includedir := $(includedir)
install uninstall: export mandir := $(mandir)
install uninstall: export bashcompdir := $(bashcompdir)
install: all
uninstall: configured
install uninstall:
	$(Q)$(MAKE) -C $(objtree) -f $(srctree)/scripts/Makefile.install $@

PHONY += clean help version
clean:
	$(Q)for d in bpf lib tools tests include pc bench config.mk config.args; do	\
		rm -rf "$(objtree)/$$d"; done;						\
		rmdir "$(objtree)" 2>/dev/null || :

version:
	@echo $(WEIR_VERSION)

help:
	@sed -n 's/^#: \{0,1\}//p' $(srctree)/Makefile

.PHONY: $(PHONY)

#: make [target]... [variable=value]...
#:
#:   all            libraries, BPF objects and tools (the default)
#:   demo           build, then show the main job (about 30 seconds)
#:   check          build, then run every check below
#:   check-tests      the tests;            TESTS=pattern picks, STRICT=1 refuses skips,
#:                                          JOBS=n so many at once
#:   check-layers     includes point down
#:   check-abi        version scripts, exported symbols and documentation agree
#:   check-style      checkpatch, codespell, shellcheck, kernel-doc, sizes;  FILES=
#:   sim            many seeded worlds in the simulated kernel; SEEDS=n, FIRST=seed
#:   bench          build, then measure against the hand-written peers
#:   plots          measure the closed loop and draw it; PLOTS="hang drain shed cost"
#:   install        DESTDIR= prefix= bindir= libdir= includedir= mandir=
#:   uninstall      remove what install put there
#:   config         probe the machine again and say what was found
#:   ktools         fetch the kernel's test harness and checkers
#:   clean          remove what was built
#:
#:   O=dir          build there instead of build/
#:   V=1, -s        show whole commands; show nothing
#:   W=1            more warnings, and every warning is an error
#:   CC=clang       compiler;  LLVM=1, LLVM=-19, LLVM=/dir/ take all LLVM tools
#:   CFLAGS= EXTRA_CFLAGS= LDFLAGS=
#:   SAN=address,undefined | thread      sanitizers, in an object tree of their own
#:   CONFIG_URING=y|n   io_uring backend (liburing)
#:   CONFIG_BPF=y|n     steering and telemetry (libbpf, clang, bpftool)
#:   CONFIG_XDP=y|n     AF_XDP sockets and XDP (libxdp), a part of the former
#:   CONFIG_RESOLVE=y|n libweir-resolve, on c-ares
#:   CONFIG_CK=y|n      locks and queues of ConcurrencyKit, not of C11 atomics
#:   CONFIG_TLS=n       not in this version
#:   CONFIG_DEBUG=y|n   debug assertions
#:   KSELFTEST=dir      <kernel>/tools/testing/selftests instead of fetching the harness
#:
#: A part that is missing and was not asked for is left out, and the summary
#: says what that costs; a part that was asked for (=y) and is missing is an error.
#: On a machine with nothing on it: ./scripts/setup demo  and  ./scripts/setup check

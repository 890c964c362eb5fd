// Lookups of host names in a static program. glibc has the sources `files` and `dns` built in (since 2.34). It
// loads every other source of /etc/nsswitch.conf from a library, which must be of exactly its own version: that
// of the machine may be another one, and would end the program.

import CLinux

/// Makes lookups of host names use /etc/hosts and DNS only. Call it before the first lookup.
public func limitHostLookup() { clinux_limit_host_lookup() }

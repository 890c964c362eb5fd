// The check of a store's owner.
//
// A user who can write to a store's directories decides what its owner's commands put into root trees.
// Links that the user places there can make those commands overwrite files. So a store must belong to root
// or to the caller, and nobody else may be able to write to it, unless the caller overrides the check.

import Platform

/// Decides which owners of a store are accepted.
public enum StoreOwnerPolicy: Sendable {
  /// Root or the caller owns the store, and nobody else can write to it.
  case trusted
  /// Any owner: the caller trusts hashes only, or takes responsibility.
  case any

  /// Checks the store's own directory, before anything else is read or written.
  /// - Throws: `StoreError.Kind.refused`.
  func check(
    _ directory: Descriptor, _ fileSystem: any FileSystem, _ name: String
  ) throws(StoreError) {
    guard self == .trusted else { return }
    try check(
      mapSystemErrors(name) { () throws(SystemError) in try fileSystem.stat(directory.raw) }, name)
  }

  /// Checks all directories in the store. A previous owner of the store may have left directories there.
  /// - Throws: `StoreError.Kind.refused`.
  func checkDirectories(
    of root: Descriptor, _ fileSystem: any FileSystem, _ name: String
  ) throws(StoreError) {
    guard self == .trusted else { return }
    let names = try mapSystemError(name, try fileSystem.names(of: root.raw))
    for directory in names {
      let stat = try mapSystemError(name, try fileSystem.statIfPresent(at: root.raw, directory))
      guard let stat, stat.kind == .directory else { continue }
      try check(stat, "\(name): its directory \(printable(directory))/")
    }
  }

  private func check(_ stat: FileStat, _ name: String) throws(StoreError) {
    let reason: String
    if !isTrustedOwner(stat.uid) {
      reason = "belongs to another user (uid \(stat.uid)), who could have manipulated it"
    } else if stat.isWritableByOthers {
      reason = "can be written by others (mode \(octal(stat.mode))), who could have manipulated it"
    } else {
      return
    }
    throw StoreError(
      .refused, name, reason,
      hint:
        "If the store is yours, take ownership with 'chown -hR USER DIR' and 'chmod -R go-w DIR'. Otherwise, for "
        + "example on NFS that maps root to another user, pass --trust-store (IMGSTORE_TRUST_STORE=1)",
      code: .accessDenied)
  }
}

/// Returns a mode as chmod(1) accepts it, such as "0755".
private func octal(_ mode: UInt16) -> String {
  let text = String(mode, radix: 8)
  return String(repeating: "0", count: max(0, 4 - text.count)) + text
}

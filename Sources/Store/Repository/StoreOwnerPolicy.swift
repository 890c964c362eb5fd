// Whose store a command works on.
//
// A user who can write in a store's folders decides what its owner's commands put into root trees, and
// can have them overwrite files through links that he plants there. So a store belongs to root or to the
// caller, and nobody else can write in it, unless the caller says otherwise.

import Platform

/// Whose store may be opened.
public enum StoreOwnerPolicy: Sendable {
  /// Root's or the caller's, where nobody else can write.
  case trusted
  /// Anybody's: what is read is believed by its hash only, or the caller answers for it.
  case any

  /// - Throws: `StoreError.Kind.refused`. Nothing was read or written then.
  func check(
    _ directory: Descriptor, _ fileSystem: any FileSystem, _ name: String
  ) throws(StoreError) {
    guard self == .trusted else { return }
    try check(
      explaining(name) { () throws(SystemError) in try fileSystem.stat(directory.raw) }, name)
  }

  /// Checks all folders in the store's: who had a store for a while can have left some of his own there.
  /// - Throws: `StoreError.Kind.refused`.
  func checkFolders(
    of root: Descriptor, _ fileSystem: any FileSystem, _ name: String
  ) throws(StoreError) {
    guard self == .trusted else { return }
    let names = try explaining(name) { () throws(SystemError) in
      try fileSystem.names(of: root.raw)
    }
    for folder in names {
      let stat = try explaining(name) { () throws(SystemError) in
        try fileSystem.statIfPresent(at: root.raw, folder)
      }
      guard let stat, stat.kind == .directory else { continue }
      try check(stat, "\(name): its folder \(printable(folder))/")
    }
  }

  private func check(_ stat: FileStat, _ name: String) throws(StoreError) {
    let finding: String
    if !isTrustedOwner(stat.uid) {
      finding = "belongs to another user (uid \(stat.uid)), who could have prepared it"
    } else if stat.isWritableByOthers {
      finding = "can be written by others (mode \(octal(stat.mode))), who could have prepared it"
    } else {
      return
    }
    throw StoreError(
      .refused, name, finding,
      advice:
        "If it is yours, take it over: 'chown -hR' to you and 'chmod -R go-w'; or, as on NFS that "
        + "maps root to another user, say --trust-store (IMGSTORE_TRUST_STORE=1)")
  }
}

/// A mode as chmod(1) has it: "0755".
private func octal(_ mode: UInt16) -> String {
  let text = String(mode, radix: 8)
  return String(repeating: "0", count: max(0, 4 - text.count)) + text
}

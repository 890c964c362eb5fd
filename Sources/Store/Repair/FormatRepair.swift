// The file `format` of a store that is being repaired.
//
// 1. It is rewritten only if it is missing, is not a regular file, or contains something else than a name
//    and a version. An unknown version is never overwritten.
// 2. The directories must be those of a store: packs/, refs/ and locks/, and no names that a store does not
//    have.
// 3. The version follows from the refs: a record of removed numbers, or a ref with its number, means
//    version 2.

import Platform

extension StoreFormat {
  private static let storeNames = Set(
    Layout.directories + [
      "format", "format.new", "quarantine", "xcat", "index.sqlite", "index.stamp",
      "index.sqlite.new", "index.sqlite-journal", "index.sqlite.new-journal",
    ]
      + [BuildRecords.directoryName, OriginRecords.directoryName, StoreConfigurationFile.fileName]
      .map { String(decoding: $0, as: UTF8.self) })

  /// Rewrites a damaged or missing `format`.
  /// - Returns: true if it was written.
  static func restore(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ name: String
  ) throws(StoreError) -> Bool {
    let hasFile = try mapSystemError(
      name, try fileSystem.statIfPresent(at: root.raw, fileName) != nil)
    if hasFile, let text = try? read(fileSystem, root, name), isFormat(text) { return false }
    return try mapSystemErrors(name) { () throws(SystemError) in
      let names = Set(try fileSystem.names(of: root.raw).map(printable))
      guard names.isSuperset(of: ["packs", "refs", "locks"]), names.isSubset(of: storeNames),
        let refs = try? fileSystem.openDirectory(at: root.raw, Array("refs".utf8))
      else { return false }
      if !hasFile, try fileSystem.names(of: refs.raw).isEmpty { return false }
      let version = try isOldest(fileSystem, refs) ? 1 : newestVersion
      let new = Array("format.new".utf8)
      let file = try fileSystem.openFile(
        at: root.raw, new, [.write, .create, .truncate, .noFollow, .nonBlocking])
      try fileSystem.write(file.raw, Array(text(version: version).utf8))
      try fileSystem.sync(file.raw)
      if hasFile { try Layout.moveToQuarantine(fileSystem, root, fileName) }
      try fileSystem.rename(at: root.raw, new, to: root.raw, fileName, exclusively: true)
      try fileSystem.sync(root.raw)
      return true
    }
  }

  /// Returns true if the text is a format file of any version.
  private static func isFormat(_ text: String) -> Bool {
    let lines = text.split(separator: "\n")
    return lines.count >= 2 && lines[0] == "imgstore store" && lines[1].hasPrefix("version ")
      && Int(lines[1].dropFirst(8)) != nil
  }

  /// Returns true if there are refs, and all have format version 1.
  private static func isOldest(
    _ fileSystem: any FileSystem, _ refs: Descriptor
  ) throws(SystemError) -> Bool {
    var hasOldRef = false
    for image in try fileSystem.names(of: refs.raw) {
      guard let directory = try? fileSystem.openDirectory(at: refs.raw, image) else { continue }
      for name in try fileSystem.names(of: directory.raw) {
        if name == RefLog.recordName { return false }
        guard RefLog.number(name) != nil,
          let file = try? fileSystem.openFile(
            at: directory.raw, name, [.read, .noFollow, .nonBlocking]),
          try fileSystem.stat(file.raw).kind == .file
        else { continue }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
          byteCount: RefRecord.magic.count + 1, alignment: 8)
        defer { buffer.deallocate() }
        let n = try fileSystem.readFully(file.raw, at: 0, into: buffer)
        guard n == buffer.count, Array(buffer[..<(n - 1)]) == RefRecord.magic else { continue }
        if buffer[n - 1] == 2 { return false }
        hasOldRef = hasOldRef || buffer[n - 1] == 1
      }
    }
    return hasOldRef
  }
}

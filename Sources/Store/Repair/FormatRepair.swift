// The file `format` of a store that is being repaired.
//
// 1. It is rewritten only if it is missing, is not a regular file, or contains something else than a name
//    and a version. An unknown version is never overwritten.
// 2. The directories must be those of a store: packs/, refs/ and locks/, and no names that a store does not
//    have.
// 3. The version follows from the packs and the refs: a frame with a base means version 4; a record of
//    removed numbers, or a ref with its number, means version 2. If a pack is damaged, it may have had frames
//    with bases: the newer version then keeps programs away that do not know them.

import Codec
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
      let version = try version(fileSystem, root, refs)
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

  /// Returns the version that packs and refs show.
  private static func version(
    _ fileSystem: any FileSystem, _ root: Descriptor, _ refs: Descriptor
  ) throws(SystemError) -> Int {
    let mayHaveBases = try mayHaveBases(fileSystem, root)
    if mayHaveBases == true { return versionWithBases }
    if try isOldest(fileSystem, refs) { return 1 }
    return mayHaveBases == nil ? versionWithBases : createdVersion
  }

  /// Returns whether a pack has a frame with a base; nil if a pack is damaged and no other has one.
  private static func mayHaveBases(
    _ fileSystem: any FileSystem, _ root: Descriptor
  ) throws(SystemError) -> Bool? {
    var isDamaged = false
    for name in ["packs", "doomed"] {
      guard let directory = try? fileSystem.openDirectory(at: root.raw, Array(name.utf8)) else {
        continue
      }
      for pack in try fileSystem.names(of: directory.raw) where Digest(hexDigits: pack) != nil {
        guard
          let file = try? fileSystem.openFile(
            at: directory.raw, pack, [.read, .noFollow, .nonBlocking]),
          try fileSystem.stat(file.raw).kind == .file,
          let hasBases = try? hasBases(in: file, fileSystem)
        else {
          isDamaged = true
          continue
        }
        if hasBases { return true }
      }
    }
    return isDamaged ? nil : false
  }

  /// Returns whether a pack has a frame with a base, from the fixed parts of the frames' headers.
  /// - Throws: `CodecError` if the pack is damaged; `SystemError`.
  private static func hasBases(
    in pack: Descriptor, _ fileSystem: any FileSystem
  ) throws -> Bool {
    func read(_ count: Int, at offset: UInt64) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: count)
      let n = try bytes.withUnsafeMutableBytes {
        try fileSystem.readFully(pack.raw, at: offset, into: $0)
      }
      return Array(bytes[..<n])
    }
    guard PackFormat.level(of: try read(PackFormat.headerBytes, at: 0)) != nil else {
      throw CodecError.corrupt("it is not a pack")
    }
    var offset = UInt64(PackFormat.headerBytes)
    while true {
      let front = try read(FrameHeader.byteCount, at: offset)
      if front.isEmpty { return false }
      let lengths = try front.withUnsafeBytes { try FrameHeader.parseLengths($0) }
      if lengths.hasBase { return true }
      offset +=
        UInt64(FrameHeader.byteCount) + UInt64(lengths.directoryBytes)
        + UInt64(lengths.storedBytes)
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

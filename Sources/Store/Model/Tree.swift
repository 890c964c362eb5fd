// Directory objects and their times objects (docs/format.md, "Trees", "Times").
//
// 1. A tree's bytes, and so its id, depend only on the entries without their times: equal content has equal
//    ids, whenever the files were written. The pair of tree and times is the exact state.
// 2. Entries are in byte order of their names, and each name occurs once.
// 3. A directory with more than `splitOver` entries becomes a node over leaves. A leaf ends after a name
//    whose CRC-32 ends in eight zero bits, so one changed entry rewrites one leaf.
// 4. `minLeafEntries`, `maxLeafEntries` and `maxLeafBytes` bound the leaves even if names are chosen to
//    defeat the cuts: every leaf and node can be stored.

import Codec
import Platform

/// Encodes and decodes directories.
public enum Tree {
  static let splitOver = 1024
  static let minLeafEntries = 64
  static let maxLeafEntries = 4096
  static let maxLeafBytes = 512 << 10
  private static let leafTag: UInt8 = 1
  private static let nodeTag: UInt8 = 2

  /// An encoded object, ready to be stored.
  public struct EncodedObject: Sendable {
    public let kind: ObjectKind
    public let id: Digest
    public let bytes: [UInt8]
    init(_ kind: ObjectKind, _ bytes: [UInt8]) {
      self.kind = kind
      self.bytes = bytes
      self.id = SHA256.digest(of: bytes)
    }
  }

  /// The two ids of a directory: its tree object and its times object.
  public struct IDs: Hashable, Sendable {
    public let tree: Digest
    public let times: Digest
    public init(tree: Digest, times: Digest) {
      self.tree = tree
      self.times = times
    }
  }

  /// Encodes a directory and passes each object to `output`, leaves before their node.
  /// - Parameter entries: the entries in byte order of their names; each readable directory has its `times`.
  /// - Returns: the ids of the directory.
  /// - Throws: only errors that `output` throws.
  public static func encode(
    _ entries: [Entry], _ output: (EncodedObject) throws -> Void
  ) rethrows -> IDs {
    guard entries.count > splitOver else {
      let (tree, times) = encodeLeaf(entries[...])
      try output(tree)
      try output(times)
      return IDs(tree: tree.id, times: times.id)
    }
    var treeNode = ByteWriter()
    var treeIDs = ByteWriter()
    var timesIDs = ByteWriter()
    let leaves = split(entries)
    treeNode.byte(nodeTag)
    treeNode.varint(leaves.count)
    for leaf in leaves {
      let (tree, times) = encodeLeaf(leaf)
      try output(tree)
      try output(times)
      treeNode.string(leaf.first?.name ?? [])
      treeNode.varint(leaf.count)
      treeIDs.digest(tree.id)
      timesIDs.digest(times.id)
    }
    treeNode.raw(treeIDs.bytes)
    var timesNode = ByteWriter()
    timesNode.byte(nodeTag)
    timesNode.varint(leaves.count)
    timesNode.raw(timesIDs.bytes)
    let tree = EncodedObject(.tree, treeNode.bytes)
    let times = EncodedObject(.times, timesNode.bytes)
    try output(tree)
    try output(times)
    return IDs(tree: tree.id, times: times.id)
  }

  /// Splits entries into leaves (invariants 3 and 4).
  private static func split(_ entries: [Entry]) -> [ArraySlice<Entry>] {
    var leaves: [ArraySlice<Entry>] = []
    var start = 0
    var bytes = 0
    for (i, entry) in entries.enumerated() {
      bytes += entry.name.count
      if case .symlink(let target) = entry.content { bytes += target.count }
      let count = i + 1 - start
      let isCut = count >= minLeafEntries && CRC32.of(entry.name) & 0xff == 0
      guard isCut || count == maxLeafEntries || bytes >= maxLeafBytes else { continue }
      leaves.append(entries[start...i])
      start = i + 1
      bytes = 0
    }
    if start < entries.count { leaves.append(entries[start...]) }
    return leaves
  }

  private static func encodeLeaf(
    _ entries: ArraySlice<Entry>
  ) -> (tree: EncodedObject, times: EncodedObject) {
    var tree = ByteWriter()
    var ids = ByteWriter()
    var times = ByteWriter()
    var timesIDs = ByteWriter()
    tree.byte(leafTag)
    tree.varint(entries.count)
    times.byte(leafTag)
    times.varint(entries.count)
    var lastSeconds: Int64 = 0
    for entry in entries {
      entry.encodeAttributes(into: &tree)
      entry.encodeIDs(into: &ids)
      times.signed(entry.modified.seconds &- lastSeconds)
      times.varint(UInt64(entry.modified.nanoseconds))
      lastSeconds = entry.modified.seconds
      if entry.tree != nil {
        guard let id = entry.times else { preconditionFailure("a directory without times") }
        timesIDs.digest(id)
      }
    }
    tree.raw(ids.bytes)
    times.raw(timesIDs.bytes)
    return (EncodedObject(.tree, tree.bytes), EncodedObject(.times, times.bytes))
  }

  /// Returns the entries of a directory in byte order, with their times.
  /// - Throws: errors of `source`; `damaged` for an object that cannot be decoded.
  public static func entries(_ ids: IDs, from source: some ObjectSource) throws -> [Entry] {
    let tree = try source.object(.tree, ids.tree)
    let times = try source.object(.times, ids.times)
    guard tree.first == nodeTag else { return try decodeLeaf(ids, tree, times) }
    let leaves = try mapCodecErrors("tree \(ids.tree)") { () throws(CodecError) in
      try decodeNode(tree, times)
    }
    var entries: [Entry] = []
    for leaf in leaves {
      entries += try decodeLeaf(
        leaf, try source.object(.tree, leaf.tree), try source.object(.times, leaf.times))
    }
    try mapCodecErrors("tree \(ids.tree)") { () throws(CodecError) in try checkOrder(entries) }
    return entries
  }

  /// Returns the ids of a directory's leaves; none if the directory is a single leaf.
  /// - Throws: errors of `source`; `damaged` for an object that cannot be decoded.
  public static func leaves(_ ids: IDs, from source: some ObjectSource) throws -> [IDs] {
    let tree = try source.object(.tree, ids.tree)
    guard tree.first == nodeTag else { return [] }
    let times = try source.object(.times, ids.times)
    return try mapCodecErrors("tree \(ids.tree)") { () throws(CodecError) in
      try decodeNode(tree, times)
    }
  }

  /// Returns the directories below a directory from the bytes of its leaf; nil if they are not a leaf's.
  public static func directories(tree: [UInt8], times: [UInt8]) -> [IDs]? {
    guard var entries = try? decodeTreeLeaf(tree) else { return nil }
    guard (try? decodeTimesLeaf(times, into: &entries)) != nil else { return nil }
    return entries.compactMap(\.ids)
  }

  private static func decodeLeaf(_ ids: IDs, _ tree: [UInt8], _ times: [UInt8]) throws -> [Entry] {
    var entries = try mapCodecErrors("tree \(ids.tree)") { () throws(CodecError) in
      try decodeTreeLeaf(tree)
    }
    try mapCodecErrors("times \(ids.times)") { () throws(CodecError) in
      try decodeTimesLeaf(times, into: &entries)
    }
    return entries
  }

  static func decodeTreeLeaf(_ bytes: [UInt8]) throws(CodecError) -> [Entry] {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      guard try reader.byte() == leafTag else { throw .corrupt("the tree is not a leaf") }
      let count = try reader.count(bytesEach: 7)
      var entries: [Entry] = []
      entries.reserveCapacity(count)
      for _ in 0..<count { entries.append(try Entry.decodeAttributes(from: &reader)) }
      for i in 0..<count { try entries[i].decodeIDs(from: &reader) }
      try reader.expectEnd()
      try checkOrder(entries)
      return entries
    }
  }

  static func decodeTimesLeaf(_ bytes: [UInt8], into entries: inout [Entry]) throws(CodecError) {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      guard try reader.byte() == leafTag else { throw .corrupt("the times object is not a leaf") }
      guard try reader.varint() == UInt64(entries.count) else {
        throw .corrupt("the times object has a different number of entries")
      }
      var seconds: Int64 = 0
      for i in entries.indices {
        seconds = seconds &+ (try reader.signed())
        let nanoseconds = try reader.varint(limit: 999_999_999, "nanoseconds")
        entries[i].modified = Timestamp(seconds: seconds, nanoseconds: UInt32(nanoseconds))
      }
      for i in entries.indices where entries[i].tree != nil {
        entries[i].times = try reader.digest()
      }
      try reader.expectEnd()
    }
  }

  private static func decodeNode(_ tree: [UInt8], _ times: [UInt8]) throws(CodecError) -> [IDs] {
    let trees = try withReader(tree) { (reader: inout ByteReader) throws(CodecError) in
      _ = try reader.byte()
      let count = try reader.count(bytesEach: 34)
      for _ in 0..<count {
        _ = try reader.string()
        _ = try reader.varint()
      }
      return try digests(count, &reader)
    }
    let timesIDs = try withReader(times) { (reader: inout ByteReader) throws(CodecError) in
      guard try reader.byte() == nodeTag else { throw .corrupt("the times object is not a node") }
      return try digests(try reader.count(bytesEach: 32), &reader)
    }
    guard trees.count == timesIDs.count else {
      throw .corrupt("the tree and the times object have different numbers of leaves")
    }
    return zip(trees, timesIDs).map { IDs(tree: $0, times: $1) }
  }

  private static func digests(
    _ count: Int, _ reader: inout ByteReader
  ) throws(CodecError) -> [Digest] {
    var digests: [Digest] = []
    for _ in 0..<count { digests.append(try reader.digest()) }
    try reader.expectEnd()
    return digests
  }

  private static func checkOrder(_ entries: [Entry]) throws(CodecError) {
    let isOrdered = entries.withUnsafeBufferPointer { entries in
      // The pointer avoids copies of the entries.
      guard let first = entries.baseAddress, entries.count > 1 else { return true }
      return (1..<entries.count).allSatisfy { precedes(first[$0 - 1].name, first[$0].name) }
    }
    guard isOrdered else { throw .corrupt("names are out of order or duplicated") }
  }
}

/// Runs `body` with a reader over `bytes` and returns its result.
/// - Throws: only errors that `body` throws.
public func withReader<R>(
  _ bytes: [UInt8], _ body: (inout ByteReader) throws(CodecError) -> R
) throws(CodecError) -> R {
  try bytes.withUnsafeBytes { (bytes) throws(CodecError) in
    var reader = ByteReader(bytes)
    return try body(&reader)
  }
}

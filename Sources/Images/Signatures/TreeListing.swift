// The signed digests of a tree: the SHA-256s of three listings. They can be computed both from a snapshot and
// from a bundle that contains the tree (docs/signatures.md, "Trees").
//
// 1. `portable` lists what a cpio archive stores: path, kind, mode, owner, seconds, size and content, link
//    target, device, hard links. Archives contain no sockets and no unreadable entries, so it omits them.
// 2. `attributes` lists what a tar archive stores in addition: nanoseconds and extended attributes.
// 3. `members` lists what the members of a bundle store of a directory: files, directories and links, without
//    hard links, setuid bits and owners of directories.
// 4. The SHA-256 identifies a file's content. For files of 4 GiB or more, which no cpio archive holds, the
//    sparse id does; it is cheap for holes. Both depend on the content alone.

import Codec
import Platform
import Signatures
import Store

/// The digests and counts of a tree's listings.
struct TreeListing {
  private(set) var entryCount: UInt64 = 0
  private(set) var memberCount: UInt64 = 0
  private(set) var hasAttributes = false
  let tree: Statement.Tree

  /// Lists a tree of the store.
  init(_ top: Entry, from store: ObjectStore) throws {
    var walk = TreeListingWalk(store)
    try walk.add(top, .top)
    let (portable, attributes, members) = walk.finish()
    entryCount = walk.entryCount
    memberCount = walk.memberCount
    hasAttributes = walk.hasAttributes
    tree = Statement.Tree(
      entryCount: walk.entryCount, portable: portable, attributes: attributes, members: members)
  }
}

/// Hashes the lines of a listing.
struct ListingHash: ~Copyable {
  private var hash = SHA256()
  private var buffer: [UInt8] = []
  private static let bufferBytes = 64 << 10

  init() { buffer.reserveCapacity(ListingHash.bufferBytes + 8192) }

  mutating func line(_ fields: [[UInt8]]) {
    var isFirst = true
    for field in fields {
      if !isFirst { buffer.append(0x20) }
      buffer += field
      isFirst = false
    }
    buffer.append(0x0a)
    if buffer.count >= ListingHash.bufferBytes { flush() }
  }

  private mutating func flush() {
    hash.update(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  mutating func finish() -> Digest {
    flush()
    return hash.finish()
  }
}

private struct TreeListingWalk: ~Copyable {
  private let store: ObjectStore
  private var portable = ListingHash()
  private var attributes = ListingHash()
  private var members = ListingHash()
  private var firstNames: [UInt64: [UInt8]] = [:]
  private(set) var entryCount: UInt64 = 0
  private(set) var memberCount: UInt64 = 0
  private(set) var hasAttributes = false

  private static let minSparseBytes: UInt64 = 1 << 32

  init(_ store: ObjectStore) { self.store = store }

  mutating func add(_ entry: Entry, _ path: RelativePath) throws {
    if entry.content.isMissing { return }
    try list(entry, path)
    guard let ids = entry.ids else { return }
    for child in try Tree.entries(ids, from: store) {
      try add(child, path.appending(child.name))
    }
  }

  private mutating func list(_ entry: Entry, _ path: RelativePath) throws {
    if entry.kind == .socket { return }
    let name = Field.bytes(path.bytes)
    let (kind, rest) = try content(entry)
    try listMember(entry, name, kind, rest)
    entryCount += 1
    if entry.linkGroup != 0 {
      if let first = firstNames[entry.linkGroup] {
        portable.line([Array("hardlink".utf8), name, Field.bytes(first)])
        return
      }
      firstNames[entry.linkGroup] = path.bytes
    }
    let seconds = UInt32(clamping: entry.modified.seconds)
    portable.line(
      [
        kind, name, Field.mode(entry.mode), Field.number(entry.uid), Field.number(entry.gid),
        Field.number(seconds),
      ] + rest)
    hasAttributes = hasAttributes || entry.xattrs != nil
    attributes.line([name, Field.time(entry.modified), entry.xattrs.map(Field.digest) ?? [0x2d]])
  }

  private mutating func listMember(
    _ entry: Entry, _ name: [UInt8], _ kind: [UInt8], _ rest: [[UInt8]]
  ) throws {
    guard var member = BundleView.Member(entry, content: nil) else { return }
    member.name = name
    var rest = rest
    // As a member of a bundle, a file of any size has its SHA-256.
    if case .file(let blob, let size) = entry.content, size >= TreeListingWalk.minSparseBytes {
      rest[1] = Field.digest(try store.rawDigest(of: blob, sizeBytes: size))
    }
    memberCount += 1
    members.line([kind] + member.fields + rest)
  }

  /// Returns the kind of an entry and the fields of its content.
  private func content(_ entry: Entry) throws -> (kind: [UInt8], fields: [[UInt8]]) {
    switch entry.content {
    case .file(let blob, let size):
      (
        Array("file".utf8),
        [Field.number(size), Field.digest(try contentDigest(entry, blob, size))]
      )
    case .symlink(let target): (Array("link".utf8), [Field.bytes(target)])
    case .device(let isBlock, let number):
      (
        Array((isBlock ? "block" : "char").utf8),
        [Field.number(number.major), Field.number(number.minor)]
      )
    case .fifo: (Array("fifo".utf8), [])
    case .directory: (Array("dir".utf8), [])
    case .socket, .unreadableFile, .unreadableDirectory, .unreadableNode:
      (Array("none".utf8), [])
    }
  }

  private func contentDigest(_ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64) throws -> Digest {
    guard sizeBytes >= TreeListingWalk.minSparseBytes else {
      return try store.rawDigest(of: blob, sizeBytes: sizeBytes)
    }
    return try store.sparseDigest(of: blob, sizeBytes: sizeBytes)
  }

  mutating func finish() -> (Digest, Digest, Digest) {
    (portable.finish(), attributes.finish(), members.finish())
  }
}

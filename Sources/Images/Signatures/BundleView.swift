// The members of one image's bundle as facts that can be signed and compared. A view describes a planned
// bundle, or one that was read.
//
// 1. Both have the same facts: the tar header's fields of a file, directory or link, and the SHA-256 of a
//    file's bytes. Directories have no owner, links no mode, and nothing is setuid, because bundles do not
//    store these.
// 2. complete/signatures and its contents are not members, nor are the directories that lead only there.

import Archive
import Codec
import Ingest
import Platform
import Render
import Signatures
import Store
import XCAT

/// The members and the manifest of one image's bundle.
struct BundleView {
  struct Member {
    enum Content {
      case file(sizeBytes: UInt64, sha256: Digest)
      case link(target: [UInt8])
      case directory
    }
    /// The member's name as a field of a listing.
    var name: [UInt8] = []
    let mode: UInt16
    let uid: UInt32
    let gid: UInt32
    let seconds: Int64
    /// 0 in the bundles that imgstore writes.
    let nanoseconds: UInt32
    let content: Content
    /// The tree inside the member, if it is an archive.
    var tree: Entry?
  }

  static let directory = "complete/signatures"
  static let prefix = directory + "/"

  private(set) var members: [String: Member] = [:]
  let manifest: Manifest
  let manifestBytes: [UInt8]
  let litefile: [UInt8]?
  /// The names of the members, in byte order.
  private(set) var names: [String] = []

  /// Creates the view of a bundle that was read. The bundle's objects are in the store.
  init(_ bundled: BundledImage) throws {
    manifest = try Manifest.parse(bundled.manifest)
    manifestBytes = bundled.manifest
    litefile = bundled.litefile
    for (name, entry) in bundled.entries {
      if let member = Member(entry) { members[name] = member }
    }
    if let member = bundled.manifestMember {
      members["manifest.xml"] = Member(
        member,
        content: .file(
          sizeBytes: UInt64(bundled.manifest.count), sha256: SHA256.digest(of: bundled.manifest)))
    }
    finish()
  }

  /// Creates the view of a planned bundle.
  /// - Parameter trees: the trees of the archives among the files, by name.
  init(
    manifest bytes: [UInt8], files: [RenderedFile], trees: [String: Entry], modified: Timestamp,
    _ store: ObjectStore
  ) throws {
    manifest = try Manifest.parse(bytes)
    manifestBytes = bytes
    litefile = files.first { $0.name == "litefile.csv" }.flatMap { file in
      if case .bytes(let bytes) = file.source { return bytes }
      return nil
    }
    func plain(_ sizeBytes: UInt64, _ sha256: Digest) -> Member {
      Member(
        mode: 0o644, uid: 0, gid: 0, seconds: modified.seconds,
        .file(sizeBytes: sizeBytes, sha256: sha256))
    }
    members["manifest.xml"] = plain(UInt64(bytes.count), SHA256.digest(of: bytes))
    for file in files {
      switch file.source {
      case .bytes(let bytes):
        members[file.name] = plain(UInt64(bytes.count), SHA256.digest(of: bytes))
      case .spool(let spool):
        members[file.name] = plain(spool.sizeBytes, spool.digest)
        members[file.name]?.tree = trees[file.name]
      case .entry(let entry):
        var content: Member.Content?
        if case .file(let blob, let size) = entry.content {
          content = .file(
            sizeBytes: size, sha256: try store.rawDigest(of: blob, sizeBytes: size))
        }
        members[file.name] = Member(entry, content: content)
      case .edited(let entry, let bytes):
        members[file.name] = Member(
          entry,
          content: .file(sizeBytes: UInt64(bytes.count), sha256: SHA256.digest(of: bytes)))
      case .rewritten(let entry, let spool):
        members[file.name] = Member(
          entry, content: .file(sizeBytes: spool.sizeBytes, sha256: spool.digest))
      }
    }
    // The writer creates the parent directories.
    for name in Array(members.keys) {
      var above = name
      while let cut = above.utf8.lastIndex(of: 0x2f) {
        above = String(above[..<cut])
        guard members[above] == nil else { continue }
        members[above] = Member(
          mode: 0o755, uid: 0, gid: 0, seconds: modified.seconds, .directory)
      }
    }
    finish()
  }

  private mutating func finish() {
    members = members.filter { name, _ in
      name != BundleView.directory && !name.hasPrefix(BundleView.prefix)
    }
    if !members.keys.contains(where: { $0.hasPrefix("complete/") }) { members["complete"] = nil }
    names = members.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  func isDirectory(_ name: String) -> Bool {
    if case .directory = members[name]?.content { return true }
    return false
  }

  /// Returns the names below a directory, relative to it, in byte order.
  func names(below directory: String) -> [String] {
    let prefix = Array((directory + "/").utf8)
    let first = names.partitioningIndex { !$0.utf8.lexicographicallyPrecedes(prefix) }
    return names[first...].prefix { $0.utf8.starts(with: prefix) }
      .map { String(decoding: $0.utf8.dropFirst(prefix.count), as: UTF8.self) }
  }

  func hasNames(below directory: String) -> Bool { !names(below: directory).isEmpty }

  /// Returns the listing of a directory's members, in the format of `TreeListing`.
  func listing(of directory: String) -> (memberCount: UInt64, digest: Digest) {
    var lines: [(path: [[UInt8]], name: String, relative: String)] = [([], directory, "")]
    for name in names(below: directory) {
      lines.append(
        (name.utf8.split(separator: 0x2f).map { [UInt8]($0) }, directory + "/" + name, name))
    }
    // Sort in the order of a walk: a directory's members follow it directly.
    lines.sort { a, b in
      for (x, y) in zip(a.path, b.path) where x != y { return x.lexicographicallyPrecedes(y) }
      return a.path.count < b.path.count
    }
    var hash = ListingHash()
    for line in lines {
      guard var member = members[line.name] else { continue }
      member.name = Field.text(line.relative)
      hash.line([member.kind] + member.fields + member.contentFields)
    }
    return (UInt64(lines.count), hash.finish())
  }

  /// The members as items of a statement: one for each name at the top, with a listing for each directory.
  var items: [Statement.Item] {
    names.filter { !$0.utf8.contains(0x2f) }.compactMap { name in
      guard let member = members[name] else { return nil }
      let content: Statement.Content
      switch member.content {
      case .file(let size, let sha256): content = .file(sizeBytes: size, sha256: sha256)
      case .link(let target): content = .link(target: target)
      case .directory:
        let listing = listing(of: name)
        content = .directory(memberCount: listing.memberCount, members: listing.digest)
      }
      return Statement.Item(
        role: "member", path: Array(name.utf8), mode: member.mode, uid: member.uid,
        gid: member.gid, seconds: member.seconds, content: content)
    }
  }
}

extension BundleView.Member {
  /// Creates a member from a bundle that was read.
  init?(_ entry: BundleEntry) {
    switch entry.content {
    case .file(let blob, let size):
      self.init(entry.member, content: .file(sizeBytes: size, sha256: blob))
    case .symlink(let target): self.init(entry.member, content: .link(target: target))
    case .directory: self.init(entry.member, content: .directory)
    case .tree(let archive):
      guard let sha256 = entry.archiveDigest else { return nil }
      self.init(
        entry.member, content: .file(sizeBytes: entry.member.sizeBytes, sha256: sha256))
      tree = archive.entry
    }
  }

  init(_ member: TarMember, content: Content) {
    self.init(
      mode: member.mode, uid: member.uid, gid: member.gid, seconds: member.modifiedSeconds,
      nanoseconds: member.modifiedNanoseconds, content)
  }

  /// Creates a member of a planned bundle from an entry of the store; nil for a kind that no bundle holds.
  /// - Parameter content: the content of a file; nil if the caller lists it separately.
  init?(_ entry: Entry, content: Content?) {
    let whole: Content
    switch entry.content {
    case .file(let blob, let size): whole = content ?? .file(sizeBytes: size, sha256: blob)
    case .symlink(let target): whole = .link(target: target)
    case .directory: whole = .directory
    case .device, .fifo, .socket, .unreadableFile, .unreadableDirectory, .unreadableNode: return nil
    }
    self.init(
      mode: entry.mode, uid: entry.uid, gid: entry.gid, seconds: entry.modified.seconds, whole)
  }

  init(
    mode: UInt16, uid: UInt32, gid: UInt32, seconds: Int64, nanoseconds: UInt32 = 0,
    _ content: Content
  ) {
    self.content = content
    self.seconds = seconds
    self.nanoseconds = nanoseconds
    switch content {
    case .file: (self.mode, self.uid, self.gid) = (mode & 0o777, uid, gid)
    case .link: (self.mode, self.uid, self.gid) = (0o777, uid, gid)
    case .directory: (self.mode, self.uid, self.gid) = (mode & 0o777, 0, 0)
    }
  }

  var kind: [UInt8] {
    switch content {
    case .file: Array("file".utf8)
    case .link: Array("link".utf8)
    case .directory: Array("dir".utf8)
    }
  }

  /// The fields for name, mode, owner, group and time.
  var fields: [[UInt8]] {
    [
      name, Field.mode(mode), Field.number(uid), Field.number(gid),
      nanoseconds == 0
        ? Field.number(seconds)
        : Field.time(Timestamp(seconds: seconds, nanoseconds: nanoseconds)),
    ]
  }

  var contentFields: [[UInt8]] {
    switch content {
    case .file(let size, let sha256): [Field.number(size), Field.digest(sha256)]
    case .link(let target): [Field.bytes(target)]
    case .directory: []
    }
  }
}

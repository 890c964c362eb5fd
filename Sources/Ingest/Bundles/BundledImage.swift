// The images of a bundle after it was read into the store: one directory per image, with its
// members by name. Also converts a member that is a directory to a tree, or to files to merge.

import Archive
import Codec
import Platform
import Store

/// The reason for rejecting a bundle.
public typealias BundleError = Failure<BundleDomain>

/// The rules of bundles, for the errors about them.
public enum BundleDomain: FailureDomain {
  public static let usualCode = ErrorCode.bundleInvalid
}

extension BundleError {
  /// Creates an error about a bundle as a whole. The caller of the reader knows its name.
  public init(whole reason: String, hint: String = "", form: ReasonForm = .predicate) {
    self.init(Self.wholeBundle, reason, hint: hint, form: form)
  }

  /// Whether the error is about the bundle as a whole.
  public var isWhole: Bool { subject == Self.wholeBundle }

  private static var wholeBundle: String { "the bundle" }

  /// The hint for bundles that look malicious.
  public static var distrust: String { "Nothing was imported; do not trust this bundle" }
  /// The hint for archives that are damaged or have an unsupported format.
  static var damagedAdvice: String {
    "Nothing was imported; compare the checksum with its origin's, or write the archive again with "
      + "GNU tar"
  }
  /// The hint for a bundle that is damaged as a whole, or incomplete.
  static var incompleteAdvice: String {
    "Nothing was imported; compare its checksum with its origin's, and copy or export it again"
  }
}

/// A member of a bundle, in the store.
public struct BundleEntry: Sendable {
  /// The content of a member.
  public enum Content: Sendable {
    case file(blob: Digest, sizeBytes: UInt64)
    case directory
    /// A link that stays inside its subdirectory of the image's directory.
    case symlink(target: [UInt8])
    /// A tree, which the bundle contains as an archive.
    case tree(ArchiveTree)
  }

  /// The member's content.
  public let content: Content
  /// The member's header.
  public let member: TarMember
  /// For a tree, the SHA-256 of the archive.
  public var archiveDigest: Digest?

  /// Returns the entry to write to disk. A bundle cannot grant privileges (setuid, setgid).
  /// - Parameters:
  ///   - name: the entry's name.
  ///   - owner: the owner; nil for the one in the bundle.
  /// - Returns: nil for directories and trees.
  public func entry(name: [UInt8], owner: (uid: UInt32, gid: UInt32)?) -> Entry? {
    let content: EntryContent
    switch self.content {
    case .file(let blob, let size): content = .file(blob: blob, sizeBytes: size)
    case .symlink(let target): content = .symlink(target: target)
    case .directory, .tree: return nil
    }
    return Entry(
      name: name, content: content, mode: BundledImage.mode(of: member),
      uid: owner?.uid ?? member.uid,
      gid: owner?.gid ?? member.gid,
      modified: Timestamp(
        seconds: member.modifiedSeconds, nanoseconds: member.modifiedNanoseconds))
  }
}

/// One image of a bundle.
public struct BundledImage: Sendable {
  /// The image's directory in the bundle; empty if the manifest is at the top.
  public let directory: String
  /// The bytes of manifest.xml.
  public let manifest: [UInt8]
  /// The bytes of litefile.csv; nil if there is none.
  public let litefile: [UInt8]?
  /// The members by their path in the image's directory: "kernel", "extra/myscript1".
  public let entries: [String: BundleEntry]
  /// Remarks about parts of the bundle that an import ignores.
  public let remarks: [String]
  /// The header of manifest.xml.
  public let manifestMember: TarMember?
  /// The files of `complete/signatures/` by name. They are not verified.
  public let signatures: [String: [UInt8]]
  /// Facts about the origin of the image, which its snapshot records.
  public let facts: [Snapshot.Fact]
  /// The names in byte order, so that the names below a directory are adjacent. A manifest that
  /// requests a hundred thousand directories does not cause as many scans of all names.
  private let names: [String]

  init(
    directory: String, manifest: [UInt8], litefile: [UInt8]?, entries: [String: BundleEntry],
    remarks: [String] = [], manifestMember: TarMember? = nil,
    signatures: [String: [UInt8]] = [:], facts: [Snapshot.Fact] = []
  ) {
    self.facts = facts
    self.manifestMember = manifestMember
    self.signatures = signatures
    self.remarks = remarks
    self.directory = directory
    self.manifest = manifest
    self.litefile = litefile
    self.entries = entries
    names = entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The name of the member that is the tree of a directory image.
  public static let treeName = "complete/rootimg.tar.zst"

  /// Creates an image that consists of one tree, which is not from a bundle.
  /// - Parameters:
  ///   - manifest: the bytes of a manifest that names the tree as `treeName`.
  ///   - facts: facts about the origin of the image.
  public init(manifest: [UInt8], tree: ArchiveTree, facts: [Snapshot.Fact], remarks: [String]) {
    let member = TarMember(path: Array(BundledImage.treeName.utf8), kind: .file, mode: 0o644)
    self.init(
      directory: "", manifest: manifest, litefile: nil,
      entries: [BundledImage.treeName: BundleEntry(content: .tree(tree), member: member)],
      remarks: remarks, facts: facts)
  }

  /// Returns whether a directory of this name exists, empty or not.
  public func isDirectory(_ name: String) -> Bool {
    if case .directory = entries[name]?.content { return true }
    return hasNames(below: name)
  }

  /// Returns whether a directory contains any member.
  public func hasNames(below directory: String) -> Bool {
    let prefix = directory + "/"
    let first = firstIndex(from: prefix)
    return first < names.count && names[first].utf8.starts(with: prefix.utf8)
  }

  /// Returns the names below a directory, relative to it, in byte order.
  public func names(below directory: String) -> [String] {
    let prefix = directory + "/"
    return names[firstIndex(from: prefix)...].prefix { $0.utf8.starts(with: prefix.utf8) }
      .map { String(decoding: $0.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) }
  }

  /// Returns the index of the first name that does not sort before `bound`.
  private func firstIndex(from bound: String) -> Int {
    names.partitioningIndex { !$0.utf8.lexicographicallyPrecedes(bound.utf8) }
  }

  /// Resolves a link, also through other links, and returns the name of its target. Returns nil if
  /// the bundle has no such member.
  public func target(ofLink name: String) -> String? {
    var name = name
    for _ in 0..<40 {
      guard case .symlink(let target) = entries[name]?.content else {
        return entries[name] != nil || isDirectory(name) ? name : nil
      }
      guard let text = String(validating: target, as: UTF8.self) else { return nil }
      var parts = name.split(separator: "/").dropLast().map(String.init)
      for part in text.split(separator: "/") where part != "." {
        if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
      }
      name = parts.joined(separator: "/")
    }
    return nil
  }

  /// Stores a directory of the bundle as a tree.
  /// - Parameters:
  ///   - directoryName: the directory's name.
  ///   - session: stores the objects.
  ///   - owner: the owner of all entries; nil for the ones in the bundle.
  ///   - mode: returns the mode of a file for its name and its mode in the bundle.
  /// - Returns: the entry, without a name.
  /// - Throws: `StoreError`, `SystemError`.
  public func tree(
    _ directoryName: String, into session: WriteSession, owner: (uid: UInt32, gid: UInt32)?,
    mode: (String, UInt16) -> UInt16 = { $1 }
  ) throws -> Entry {
    let top = ScannedDirectory(name: [], parent: nil, cached: nil)
    var directories: [String: ScannedDirectory] = ["": top]
    defer { for directory in directories.values { directory.releaseChildren() } }
    func directory(_ path: String) -> ScannedDirectory {
      if let existing = directories[path] { return existing }
      let (above, name) = split(path)
      let parent = directory(above)
      let child = ScannedDirectory(name: name, parent: parent, cached: nil)
      directories[path] = child
      let member = entries[directoryName + "/" + path]?.member
      parent.entries.append(
        ScannedEntry(
          name: name, stat: stat(member, .directory, owner), content: .directory(child)))
      return child
    }
    for path in names(below: directoryName) {
      guard let item = entries[directoryName + "/" + path] else { continue }
      let (above, name) = split(path)
      let parent = directory(above)
      switch item.content {
      case .directory, .tree: _ = directory(path)
      case .file(let blob, let size):
        var stat = stat(item.member, .file, owner)
        stat.size = size
        stat.mode = mode("\(directoryName)/\(path)", stat.mode)
        parent.entries.append(ScannedEntry(name: name, stat: stat, content: .file(blob: blob)))
      case .symlink(let target):
        parent.entries.append(
          ScannedEntry(
            name: name, stat: stat(item.member, .symlink, owner), content: .symlink(target)))
      }
    }
    for directory in directories.values {
      directory.entries.sort { precedes($0.name, $1.name) }
    }
    let ids = try session.withWorker { worker in
      var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
      return try builder.build(top)
    }
    let member = entries[directoryName]?.member
    return Entry(
      name: [], content: .directory(tree: ids.tree), mode: (member?.mode ?? 0o755) & 0o755,
      uid: owner?.uid ?? member?.uid ?? 0, gid: owner?.gid ?? member?.gid ?? 0,
      modified: Timestamp(
        seconds: member?.modifiedSeconds ?? 0, nanoseconds: member?.modifiedNanoseconds ?? 0),
      times: ids.times)
  }

  private func split(_ path: String) -> (above: String, name: [UInt8]) {
    let bytes = Array(path.utf8)
    guard let cut = bytes.lastIndex(of: UInt8(ascii: "/")) else { return ("", bytes) }
    return (String(decoding: bytes[..<cut], as: UTF8.self), Array(bytes[(cut + 1)...]))
  }

  /// Returns the mode of a member. A bundle cannot grant privileges, and only the owner may write.
  /// A link has no mode of its own, whatever its header says.
  static func mode(of member: TarMember) -> UInt16 {
    if case .symlink = member.kind { return 0o777 }
    return member.mode & 0o755
  }

  private func stat(
    _ member: TarMember?, _ kind: FileKind, _ owner: (uid: UInt32, gid: UInt32)?
  ) -> FileStat {
    FileStat(
      kind: kind, mode: member.map(BundledImage.mode) ?? 0o755, uid: owner?.uid ?? member?.uid ?? 0,
      gid: owner?.gid ?? member?.gid ?? 0,
      modified: Timestamp(
        seconds: member?.modifiedSeconds ?? 0, nanoseconds: member?.modifiedNanoseconds ?? 0))
  }
}

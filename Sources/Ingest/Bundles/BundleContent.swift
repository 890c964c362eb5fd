// What a bundle holds once it has been read into the store: one folder an image, and in each the
// members by name. Also: how a member that is a folder becomes a tree, or files to merge.

import Archive
import Codec
import Platform
import Store

/// Why a bundle was refused.
public struct BundleError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }

  public static let distrust = "Nothing was imported; do not trust this bundle"
  /// For what is damaged, or of a form that is not read.
  static let damagedAdvice =
    "Nothing was imported; compare the checksum with its origin's, or write the archive again with "
    + "GNU tar"
  /// For a bundle that is damaged as a whole, or not all of it.
  static let incompleteAdvice =
    "Nothing was imported; compare its checksum with its origin's, and copy or export it again"
}

/// A member of a bundle, in the store.
public struct BundleEntry: Sendable {
  public enum Content: Sendable {
    case file(blob: Digest, sizeBytes: UInt64)
    case directory
    /// A link that stays inside the folder of the image's folder that it lies in.
    case symlink(target: [UInt8])
    /// A tree that lay in the bundle as an archive.
    case tree(ArchiveTree)
  }

  public let content: Content
  public let member: TarMember
  /// Of a tree: the SHA-256 of the archive's own bytes.
  public var archiveDigest: Digest?

  /// The entry as it is put on a disk: a bundle gives no rights away (no setuid, no setgid).
  /// - Parameter owner: who gets the file; nil for whom the bundle says.
  public func entry(name: [UInt8], owner: (uid: UInt32, gid: UInt32)?) -> Entry? {
    let content: Store.Content
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
  /// Its folder; empty where the manifest lies at the top.
  public let folder: String
  public let manifest: [UInt8]
  /// The bytes of litefile.csv; nil where there is none.
  public let litefile: [UInt8]?
  /// By name inside the folder: "kernel", "extra/myscript1".
  public let entries: [String: BundleEntry]
  /// What the bundle holds, or says, and an import leaves out.
  public let remarks: [String]
  /// The header of manifest.xml.
  public let manifestMember: TarMember?
  /// The files of `complete/signatures/`, by their names there: not checked in any way.
  public let signatures: [String: [UInt8]]
  /// The names in byte order: what lies below a folder stands together, and a manifest that asks
  /// for a hundred thousand folders does not make us look at all names as often.
  private let names: [String]

  init(
    folder: String, manifest: [UInt8], litefile: [UInt8]?, entries: [String: BundleEntry],
    remarks: [String] = [], manifestMember: TarMember? = nil,
    signatures: [String: [UInt8]] = [:]
  ) {
    self.manifestMember = manifestMember
    self.signatures = signatures
    self.remarks = remarks
    self.folder = folder
    self.manifest = manifest
    self.litefile = litefile
    self.entries = entries
    names = entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Whether there is a folder of that name, empty or not.
  public func isFolder(_ name: String) -> Bool {
    if case .directory = entries[name]?.content { return true }
    return hasNames(below: name)
  }

  /// Whether anything lies below a folder.
  public func hasNames(below folder: String) -> Bool {
    let prefix = folder + "/"
    let first = firstIndex(from: prefix)
    return first < names.count && names[first].utf8.starts(with: prefix.utf8)
  }

  /// The names below a folder, relative to it, sorted by bytes.
  public func names(below folder: String) -> [String] {
    let prefix = folder + "/"
    return names[firstIndex(from: prefix)...].prefix { $0.utf8.starts(with: prefix.utf8) }
      .map { String(decoding: $0.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) }
  }

  /// Where the first name stands that does not come before `bound`.
  private func firstIndex(from bound: String) -> Int {
    var low = 0
    var high = names.count
    while low < high {
      let middle = low + (high - low) / 2
      if names[middle].utf8.lexicographicallyPrecedes(bound.utf8) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }

  /// The name that a link leads to, over other links; nil where that is nothing of the bundle.
  public func target(ofLink name: String) -> String? {
    var name = name
    for _ in 0..<40 {
      guard case .symlink(let target) = entries[name]?.content else {
        return entries[name] != nil || isFolder(name) ? name : nil
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

  /// A folder of the bundle as a tree in the store.
  /// - Parameter mode: the mode of a file, by its name in the bundle and what the bundle says.
  /// - Returns: the entry, without a name.
  public func tree(
    _ folder: String, into session: WriteSession, owner: (uid: UInt32, gid: UInt32)?,
    mode: (String, UInt16) -> UInt16 = { $1 }
  ) throws -> Entry {
    let top = ScannedDirectory(name: [], parent: nil, cached: nil)
    var folders: [String: ScannedDirectory] = ["": top]
    defer { for directory in folders.values { directory.releaseChildren() } }
    func directory(_ path: String) -> ScannedDirectory {
      if let found = folders[path] { return found }
      let (above, name) = split(path)
      let parent = directory(above)
      let made = ScannedDirectory(name: name, parent: parent, cached: nil)
      folders[path] = made
      let member = entries[folder + "/" + path]?.member
      parent.entries.append(
        ScannedEntry(
          name: name, stat: stat(member, .directory, owner), content: .directory(made)))
      return made
    }
    for path in names(below: folder) {
      guard let item = entries[folder + "/" + path] else { continue }
      let (above, name) = split(path)
      let parent = directory(above)
      switch item.content {
      case .directory, .tree: _ = directory(path)
      case .file(let blob, let size):
        var stat = stat(item.member, .file, owner)
        stat.size = size
        stat.mode = mode("\(folder)/\(path)", stat.mode)
        parent.entries.append(ScannedEntry(name: name, stat: stat, content: .file(blob: blob)))
      case .symlink(let target):
        parent.entries.append(
          ScannedEntry(
            name: name, stat: stat(item.member, .symlink, owner), content: .symlink(target)))
      }
    }
    for directory in folders.values {
      directory.entries.sort { precedes($0.name, $1.name) }
    }
    let ids = try session.withWorker { worker in
      var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
      return try builder.build(top)
    }
    let member = entries[folder]?.member
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

  /// A bundle gives no rights away, and lets nobody but the owner write; a link has no mode of its own,
  /// whatever its header says.
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

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

  static let distrust = "Nothing was imported; do not trust this bundle"
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
      name: name, content: content, mode: member.mode & 0o777, uid: owner?.uid ?? member.uid,
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

  /// Whether there is a folder of that name, empty or not.
  public func isFolder(_ name: String) -> Bool {
    if case .directory = entries[name]?.content { return true }
    return entries.keys.contains { $0.hasPrefix(name + "/") }
  }

  /// The names below a folder, relative to it, sorted by bytes.
  public func names(below folder: String) -> [String] {
    let prefix = folder + "/"
    return entries.keys.filter { $0.hasPrefix(prefix) }
      .map { String($0.dropFirst(prefix.count)) }
      .sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
  }

  /// A folder of the bundle as a tree in the store.
  /// - Returns: the entry, without a name.
  public func tree(
    _ folder: String, into session: WriteSession, owner: (uid: UInt32, gid: UInt32)?
  ) throws -> Entry {
    let top = LiveDirectory(name: [], parent: nil, cached: nil)
    var folders: [String: LiveDirectory] = ["": top]
    func directory(_ path: String) -> LiveDirectory {
      if let found = folders[path] { return found }
      let cut = path.lastIndex(of: "/")
      let parent = directory(cut.map { String(path[..<$0]) } ?? "")
      let name = Array((cut.map { path[path.index(after: $0)...] } ?? path[...]).utf8)
      let made = LiveDirectory(name: name, parent: parent, cached: nil)
      folders[path] = made
      let member = entries[folder + "/" + path]?.member
      parent.entries.append(
        LiveEntry(
          name: name, stat: stat(member, .directory, owner), content: .directory(made)))
      return made
    }
    for path in names(below: folder) {
      guard let item = entries[folder + "/" + path] else { continue }
      let cut = path.lastIndex(of: "/")
      let parent = directory(cut.map { String(path[..<$0]) } ?? "")
      let name = Array((cut.map { path[path.index(after: $0)...] } ?? path[...]).utf8)
      switch item.content {
      case .directory, .tree: _ = directory(path)
      case .file(let blob, let size):
        var stat = stat(item.member, .file, owner)
        stat.size = size
        parent.entries.append(LiveEntry(name: name, stat: stat, content: .file(blob: blob)))
      case .symlink(let target):
        parent.entries.append(
          LiveEntry(
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
      name: [], content: .directory(tree: ids.tree), mode: (member?.mode ?? 0o755) & 0o777,
      uid: owner?.uid ?? member?.uid ?? 0, gid: owner?.gid ?? member?.gid ?? 0,
      modified: Timestamp(
        seconds: member?.modifiedSeconds ?? 0, nanoseconds: member?.modifiedNanoseconds ?? 0),
      times: ids.times)
  }

  private func stat(
    _ member: TarMember?, _ kind: FileKind, _ owner: (uid: UInt32, gid: UInt32)?
  ) -> FileStat {
    FileStat(
      kind: kind, mode: (member?.mode ?? 0o755) & 0o777, uid: owner?.uid ?? member?.uid ?? 0,
      gid: owner?.gid ?? member?.gid ?? 0,
      modified: Timestamp(
        seconds: member?.modifiedSeconds ?? 0, nanoseconds: member?.modifiedNanoseconds ?? 0))
  }
}

// The sources of a repair: `--from` names a store, a directory or a file that may have the lost data.
//
// 1. The path's content decides its kind. A directory with a store's `format`, `packs` and `refs` is a store;
//    any other is a tree of files. A file offers its own content and, if it is an archive, its members.
// 2. Sources are only read, and never trusted: the repair identifies all data by its hash.

import Ingest
import Platform
import Recipes
import Store

/// Opens the sources that a repair may take objects from.
struct RepairSources: Collaborator {
  let context: Context

  /// Opens a source of a repair.
  /// - Throws: `ImageError` if it cannot be opened, is of an unsupported kind or is the store itself, and
  ///   (`storeNotFound`) if it does not exist.
  func repairSource(_ text: String) throws -> RepairSource {
    let path = absolute(text)
    let bytes = Array(path.utf8)
    let stat: FileStat?
    do throws(SystemError) {
      stat = try context.fileSystem.statIfPresent(
        at: context.fileSystem.workingDirectory, bytes, followLink: true)
    } catch {
      throw ImageError("source \(text)", "cannot be opened: \(error.code)")
    }
    guard let stat else {
      throw ImageError(
        .storeNotFound, "source \(text)", "does not exist",
        hint: "--from takes a store, a bundle, a packed image, a file or a directory")
    }
    switch stat.kind {
    case .directory:
      if try isStore(bytes) { return .store(try otherStore(path), name: text) }
      return .content(name: text) { [self] session in try offerTree(path, to: session) }
    case .file:
      let file = try context.fileSystem.openFile(
        at: context.fileSystem.workingDirectory, bytes, [.read, .nonBlocking])
      if try isSquashfs(file) {
        context.reporter.warn(
          "\(text) is a squashfs image: only the file itself is used. To use the files in it, mount it "
            + "and name the mount point")
      }
      return .content(name: text) { [self] session in
        try ArchiveSource(try context.store(), context.progress).offer(file, to: session)
      }
    default:
      throw ImageError(
        "source \(text)", "is a \(stat.kind.noun)",
        hint: "--from takes a store, a bundle, a packed image, a file or a directory")
    }
  }

  private func isStore(_ path: [UInt8]) throws -> Bool {
    for name in ["format", "packs", "refs"] {
      let stat = try context.fileSystem.statIfPresent(
        at: context.fileSystem.workingDirectory, path + Array("/\(name)".utf8), followLink: true)
      if stat == nil { return false }
    }
    return true
  }

  private func isSquashfs(_ file: Descriptor) throws -> Bool {
    var magic: [UInt8] = [0, 0, 0, 0]
    let count = try magic.withUnsafeMutableBytes {
      try context.fileSystem.readFully(file.raw, at: 0, into: $0)
    }
    return count == 4 && magic == Array("hsqs".utf8)
  }

  private func otherStore(_ path: String) throws -> ObjectStore {
    let own = try context.store().layout
    let other = try ObjectStore(
      context.fileSystem, path: Array(path.utf8), create: false,
      owner: context.options.storeOwner, reconstructor: PlanReconstructor(),
      report: context.reporter.inform)
    let (a, b) = (
      try context.fileSystem.stat(own.root.raw), try context.fileSystem.stat(other.layout.root.raw)
    )
    guard a.device != b.device || a.inode != b.inode else {
      throw ImageError("source \(path)", "is the store to repair")
    }
    return other
  }

  /// Offers everything below a directory of this machine, independent of the workspace's root.
  private func offerTree(_ path: String, to session: WriteSession) throws {
    guard let whole = AbsolutePath(path) else {
      throw ImageError("source \(path)", "is not a readable path")
    }
    let root = try context.fileSystem.openDirectory(
      at: context.fileSystem.workingDirectory, [0x2f], followLink: true)
    try offer(
      [CaptureRoot(role: .other("source"), path: whole)],
      in: PathResolver(context.fileSystem, root: root),
      to: session)
  }

  /// Reads trees and files like a snapshot, but without the stat cache.
  func offer(
    _ requests: [CaptureRoot], in resolver: PathResolver, to session: WriteSession
  ) throws {
    if requests.isEmpty { return }
    _ = try Capture(resolver, progress: context.progress).run(
      requests, cache: nil, into: .store(session))
  }
}

// Where a repair looks for what is lost: `--from` names a store, a folder or a file.
//
// 1. What a name stands for is told by what is there: a folder with a store's `format` is a store, any other
//    a tree of files; a file is content, and what is in it if it is an archive.
// 2. A source is only read, and nothing of it is believed: what it offers counts by its hash.

import Ingest
import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Opens a source of a repair.
  func repairSource(_ text: String) throws -> RepairSource {
    let path = absolute(text)
    let bytes = Array(path.utf8)
    let stat: FileStat?
    do throws(SystemError) {
      stat = try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, bytes, followLink: true)
    } catch {
      throw ImageError("source \(text)", "cannot be opened: \(error.code)")
    }
    guard let stat else {
      throw ImageError(
        .notFound, "source \(text)", "does not exist",
        advice: "--from takes a store, a bundle, a packed image, a file or a folder")
    }
    switch stat.kind {
    case .directory:
      if try isStore(bytes) { return .store(try otherStore(path), name: text) }
      return .content(name: text) { [self] session in try offerTree(path, to: session) }
    case .file:
      let file = try fileSystem.openFile(
        at: fileSystem.workingDirectory, bytes, [.read, .nonBlocking])
      if try isSquashfs(file) {
        tell(
          "\(text) is a squashfs image, of which the file itself is taken only: mount it, and name "
            + "the folder, to take what is in it")
      }
      return .content(name: text) { [self] session in
        try ArchiveSource(try store(), progress).offer(file, to: session)
      }
    default:
      throw ImageError(
        "source \(text)", "is a \(stat.kind.noun)",
        advice: "--from takes a store, a bundle, a packed image, a file or a folder")
    }
  }

  private func isStore(_ path: [UInt8]) throws -> Bool {
    for name in ["format", "packs", "refs"] {
      let stat = try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path + Array("/\(name)".utf8), followLink: true)
      if stat == nil { return false }
    }
    return true
  }

  private func isSquashfs(_ file: Descriptor) throws -> Bool {
    var magic: [UInt8] = [0, 0, 0, 0]
    let count = try magic.withUnsafeMutableBytes {
      try fileSystem.readFully(file.raw, at: 0, into: $0)
    }
    return count == 4 && magic == Array("hsqs".utf8)
  }

  private func otherStore(_ path: String) throws -> ObjectStore {
    let own = try store().layout
    let other = try ObjectStore(
      fileSystem, path: Array(path.utf8), create: false,
      owner: options.storeOwner, maker: DeflateReencoderPool.shared, report: mention)
    let (a, b) = (
      try fileSystem.stat(own.root.raw), try fileSystem.stat(other.layout.root.raw)
    )
    guard a.device != b.device || a.inode != b.inode else {
      throw ImageError("source \(path)", "is the store that is to be repaired")
    }
    return other
  }

  /// Offers everything below a folder of this machine, whatever the root of the workspace is.
  private func offerTree(_ path: String, to session: WriteSession) throws {
    guard let whole = AbsolutePath(path) else {
      throw ImageError("source \(path)", "is not a path that can be read")
    }
    let root = try fileSystem.openDirectory(
      at: fileSystem.workingDirectory, [0x2f], followLink: true)
    try offer(
      [CaptureRoot(role: "source", path: whole)], in: PathResolver(fileSystem, root: root),
      to: session)
  }

  /// Reads trees and files as a snapshot would, without the stat cache.
  func offer(
    _ requests: [CaptureRoot], in resolver: PathResolver, to session: WriteSession
  ) throws {
    if requests.isEmpty { return }
    _ = try Capture(resolver, progress: progress).run(
      requests, cache: nil, into: .store(session))
  }
}

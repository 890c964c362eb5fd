// Compares the boot files of a live image with the copies that its nodes load
// (docs/xcat-contract.md#nodeset-and-boot-files).
//
// 1. The comparison changes nothing. Errors in the node tables or in copies do not fail the command. The
//    report names them.
// 2. It compares sizes, then bytes, 1 MiB at a time. It ignores times, because xCAT's copies have their own.
// 3. It reads the node tables only if the report needs nodes.

import Glibc
import Platform
import Store
import XCAT

extension Workspace {
  /// Compares the boot files of the live image with the copies that nodes boot.
  /// - Returns: nil if xCAT has made no copies of this image's files.
  /// - Throws: errors of reading xCAT's tables.
  public func bootFiles(of image: String) throws -> BootFilesReport? {
    try BootComparison(context).bootFiles(of: image)
  }
}

/// Compares boot files with the copies that nodes load.
struct BootComparison: Collaborator {
  let context: Context

  func bootFiles(of image: String) throws -> BootFilesReport? {
    let tables = try context.tables()
    guard let definition = try tables.definition(of: image) else { return nil }
    let files = try BootFiles.copied(
      of: definition, installDirectory: context.installDirectory(tables)
    ).compactMap { file in
      try file.sources.first { try ImageCapturer(context).statLive($0)?.kind == .file }.map {
        (file, $0)
      }
    }
    guard !files.isEmpty else { return nil }
    let site = AbsolutePath(try tables.site("tftpdir") ?? BootFiles.defaultTFTPDirectory)
    var nodes: BootNodes?
    var problem: String?
    func readNodes() {
      do { nodes = try BootNodes(of: image, tables) } catch {
        problem = (error as? any ExplainedError)?.message ?? "\(error)"
      }
    }
    let hasOwnDirectories = try tables.rows("noderes").contains { $0["tftpdir"] != nil }
    if try hasOwnDirectories || tables.site("sharedtftp") != nil { readNodes() }

    var copies: [BootCopy] = []
    var staleDirectories: Set<AbsolutePath> = []
    let own = Set((nodes?.nodes ?? []).compactMap { $0.tftpDirectory.flatMap { AbsolutePath($0) } })
    for top in [site].compactMap(\.self)
      + own.subtracting([site].compactMap(\.self)).sorted(by: {
        precedes($0.bytes, $1.bytes)
      })
    {
      let directory = BootFiles.directory(of: image, in: top)
      guard try ImageCapturer(context).statLive(directory)?.kind == .directory else { continue }
      let found = files.map { file, source in
        let path = directory.appending(file.copyName)
        return BootCopy(
          role: file.role, path: path, source: source, state: compare(path, with: source))
      }
      copies += found
      if found.contains(where: \.isOld) { staleDirectories.insert(top) }
    }
    if nodes == nil, problem == nil, !staleDirectories.isEmpty { readNodes() }
    let all = nodes?.nodes ?? []
    let here = all.filter { node in
      let directory = node.tftpDirectory.map { AbsolutePath($0) } ?? site
      return !node.isElsewhere && directory.map(staleDirectories.contains) == true
    }.map(\.name)
    let elsewhere = all.filter(\.isElsewhere).map(\.name)
    if copies.isEmpty, elsewhere.isEmpty { return nil }
    var command: NodesetArguments?
    if let nodes, !(here + elsewhere).isEmpty {
      do {
        command = try NodesetArguments(range: nodes.range(of: here + elsewhere), image: image)
      } catch {
        problem = error.message
      }
    }
    return BootFilesReport(
      image: image, sources: files.map(\.1), copies: copies, nodes: here, elsewhere: elsewhere,
      unclear: nodes?.unclear ?? [], command: command, problem: problem)
  }

  private func compare(_ copy: AbsolutePath, with source: AbsolutePath) -> BootCopy.State {
    do throws(SystemError) {
      let file = try openLive(source)
      do throws(SystemError) {
        return try hasSameContent(openLive(copy), file) ? .same : .differs
      } catch {
        if error.isAbsent { return .missing }
        throw error
      }
    } catch {
      return .unreadable
    }
  }

  private func openLive(_ path: AbsolutePath) throws(SystemError) -> Descriptor {
    let location = try context.resolver.resolve(path)
    let file = try context.fileSystem.openFile(
      at: location.directory.raw, location.name, [.read, .nonBlocking, .noFollow])
    guard try context.fileSystem.stat(file.raw).kind == .file else {
      throw SystemError(code: .invalid, "read", path.bytes)
    }
    return file
  }

  private func hasSameContent(_ a: Descriptor, _ b: Descriptor) throws(SystemError) -> Bool {
    let (old, new) = (try context.fileSystem.stat(a.raw), try context.fileSystem.stat(b.raw))
    if old.device == new.device, old.inode == new.inode { return true }
    guard old.size == new.size else { return false }
    let window = 1 << 20
    let buffers = [0, 1].map { _ in
      UnsafeMutableRawPointer.allocate(byteCount: window, alignment: 4096)
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    var offset: UInt64 = 0
    while true {
      let n = try read(a, offset, into: buffers[0], window)
      let m = try read(b, offset, into: buffers[1], window)
      guard n == m, memcmp(buffers[0], buffers[1], n) == 0 else { return false }
      if n < window { return true }
      offset += UInt64(n)
    }
  }

  private func read(
    _ file: Descriptor, _ offset: UInt64, into buffer: UnsafeMutableRawPointer, _ count: Int
  ) throws(SystemError) -> Int {
    try context.fileSystem.readFully(
      file.raw, at: offset, into: UnsafeMutableRawBufferPointer(start: buffer, count: count))
  }
}

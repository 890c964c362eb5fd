// The steps that make entries which are no directories: written from the store, shared with the blocks of a
// file that has the content, or linked where all is the same.

import Codec
import Platform
import Store

extension StepExecutor {
  // MARK: Entries

  func write(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    let entry = step.entry
    if entry.kind == .file {
      try writeFile(step, parent, name, cloning: nil)
      return
    }
    try replace(step, parent, name) { temporary throws(SystemError) in
      switch entry.content {
      case .symlink(let target):
        try fileSystem.makeSymlink(at: parent.raw, temporary, target: target)
      case .device(let isBlock, let number):
        try fileSystem.makeNode(
          at: parent.raw, temporary, kind: isBlock ? .blockDevice : .characterDevice, mode: 0o600,
          device: number)
      case .fifo:
        try fileSystem.makeNode(at: parent.raw, temporary, kind: .fifo, mode: 0o600, device: .none)
      case .socket:
        try fileSystem.makeNode(
          at: parent.raw, temporary, kind: .socket, mode: 0o600, device: .none)
      case .file, .unreadableFile, .directory, .unreadableDirectory, .unreadableNode:
        preconditionFailure("a step for what no step makes")
      }
    } finish: { temporary in
      try attributes.set(entry, at: parent.raw, temporary, path: step.path)
      attributes.verify(
        entry, try fileSystem.stat(at: parent.raw, temporary, followLink: false), path: step.path)
    }
    report.writtenFiles += 1
  }

  /// - Parameter source: a file that has the content, to share its blocks where that is possible.
  func writeFile(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8], cloning source: [UInt8]?
  ) throws {
    let entry = step.entry
    guard case .file(let blob, let sizeBytes) = entry.content else {
      preconditionFailure("a file without content")
    }
    if isAsPlanned, sizeBytes >= StepExecutor.earlyLookBytes {
      try requireUnchanged(step, parent, name)
    }
    let temporary = isFresh ? name : temporaryName()
    let ready = linkStaged(entry, blob, sizeBytes, parent, temporary)
    var isReused = false
    let file: Descriptor
    if let ready {
      file = ready
    } else {
      let made = Monitor<Descriptor?>(nil)
      try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
        let new = try fileSystem.openFile(
          at: parent.raw, temporary, [.write, .create, .exclusive, .noFollow])
        made.withLock { $0 = new }
      }
      guard let new = made.withLock({ $0 }) else { return }
      file = new
    }
    do {
      if ready == nil { try attributes.prepare(entry, file.raw, path: step.path) }
      if let source { isReused = try clone(source, into: file, step) }
      // Who staged a file has hashed it.
      var isHashed = ready != nil
      if ready == nil, !isReused {
        isHashed = try contents.write(
          file, entry, blob, sizeBytes, over: oldContent(step, parent, name))
      }
      let isLinked = entry.linkGroup != 0
      try attributes.set(
        entry, of: file.raw, path: step.path, flags: isFresh && !isLinked ? .set : .later)
      let written = try fileSystem.stat(file.raw)
      attributes.verify(entry, written, path: step.path)
      if !isFresh {
        try publish(step, parent, temporary, name)
        if !isLinked { try attributes.setFlags(entry, of: file.raw, [], step.path) }
      }
      if isHashed { try recordVerified(written, blob, step, parent, name) }
    } catch {
      try? fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
      throw error
    }
    if isReused {
      report.reusedFiles += 1
    } else {
      report.writtenFiles += 1
      report.writtenBytes &+= sizeBytes
    }
  }

  private func oldContent(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) -> ExistingFileSource? {
    // Where nothing can be there, the name is that of the file that is being written.
    guard !isFresh, let old = step.old, old.kind == .file, old.sizeBytes > 0 else { return nil }
    // One chunk of the same size is the same file, or has nothing of it.
    if old.sizeBytes == step.entry.sizeBytes, old.sizeBytes <= UInt64(Chunker.wholeFileBytes),
      old.blob != nil, old.blob != step.entry.blob
    {
      return nil
    }
    return ExistingFileSource(fileSystem, parent, name, sizeBytes: old.sizeBytes)
  }

  /// Gives the staged file that holds the blob its name.
  /// - Returns: nil where there is none, or where it cannot be had on this file system.
  private func linkStaged(
    _ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64, _ parent: Descriptor, _ name: [UInt8]
  ) -> Descriptor? {
    guard entry.holes == nil, let file = staged?.take(blob, sizeBytes: sizeBytes),
      (try? fileSystem.link(open: file.raw, to: parent.raw, name)) != nil
    else { return nil }
    progress.add(bytes: sizeBytes)
    return file
  }

  /// Notes the file as it is under its name, if it is the one that was written.
  private func recordVerified(
    _ written: FileStat, _ blob: Digest, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws(SystemError) {
    guard step.entry.holes == nil, step.entry.linkGroup == 0,
      report.attestedFiles.count < ApplyReport.maxAttestedFiles,
      let now = try fileSystem.statIfPresent(at: parent.raw, name),
      now.device == written.device,
      now.inode == written.inode, now.size == written.size, now.modified == written.modified
    else { return }
    report.attestedFiles.append((step.path, now, blob))
  }

  // MARK: Reuse

  /// Takes content and, where it can, the whole inode from another path, for a tree that is being built.
  /// - Returns: false where it cannot be had there.
  func reuse(
    _ source: [UInt8], _ mayLink: Bool, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    let (sourceParent, sourceName) = try (donor ?? directories).locate(source)
    if canClone, step.entry.kind == .file,
      try cloneFresh(source, step, parent, name)
    {
      return true
    }
    guard mayLink, let now = try fileSystem.statIfPresent(at: sourceParent.raw, sourceName),
      now.matchesMetadata(step.entry)
    else { return false }
    do throws(SystemError) {
      try fileSystem.link(at: sourceParent.raw, sourceName, to: parent.raw, name)
    } catch {
      // Too many links, or links of others' files are not allowed: a copy will do.
      guard
        [.tooManyLinks, .crossDevice, .notPermitted, .accessDenied, .notSupported]
          .contains(error.code)
      else { throw error }
      return false
    }
    report.reusedFiles += 1
    return true
  }

  private func cloneFresh(
    _ source: [UInt8], _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    guard let open = try openSource(source, step) else { return false }
    let file = try fileSystem.openFile(
      at: parent.raw, name, [.write, .create, .exclusive, .noFollow])
    do {
      try attributes.prepare(step.entry, file.raw, path: step.path)
      guard try clone(open, into: file) else {
        try fileSystem.remove(at: parent.raw, name, isDirectory: false)
        return false
      }
      try attributes.set(
        step.entry, of: file.raw, path: step.path,
        flags: step.entry.linkGroup == 0 ? .set : .later)
    } catch {
      try? fileSystem.remove(at: parent.raw, name, isDirectory: false)
      throw error
    }
    report.reusedFiles += 1
    return true
  }

  /// Lets a new file share the blocks of another.
  /// - Returns: false where that is not possible; the file is empty then.
  private func clone(_ source: [UInt8], into file: Descriptor, _ step: Step) throws -> Bool {
    guard canClone, let open = try openSource(source, step) else { return false }
    return try clone(open, into: file)
  }

  private func clone(_ source: Descriptor, into file: Descriptor) throws(SystemError) -> Bool {
    do throws(SystemError) {
      try fileSystem.clone(source.raw, into: file.raw)
      return true
    } catch {
      guard
        [.notSupported, .invalid, .crossDevice, .notTerminal, .notPermitted].contains(error.code)
      else { throw error }
      canClone = false
      return false
    }
  }

  /// Opens a file whose data may be used; nil where it is not as the plan saw it.
  private func openSource(_ source: [UInt8], _ step: Step) throws(SystemError) -> Descriptor? {
    let (parent, name) = try (donor ?? directories).locate(source)
    let file: Descriptor
    do throws(SystemError) {
      file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
    } catch {
      if error.isAbsent || error.code == .accessDenied || error.code == .loop { return nil }
      throw error
    }
    let now = try fileSystem.stat(file.raw)
    guard now.kind == .file, now.size == step.entry.sizeBytes, now.modified == step.old?.modified,
      step.seen.map({ now.isUnchanged(since: $0) }) ?? true
    else { return nil }
    return file
  }
}

extension FileStat {
  /// As far as the kernel's attributes tell, what is there is what the entry says.
  fileprivate func matchesMetadata(_ entry: Entry) -> Bool {
    kind == entry.kind && modified == entry.modified && uid == entry.uid && gid == entry.gid
      && (kind == .symlink || mode == entry.mode) && (kind != .file || size == entry.sizeBytes)
  }
}

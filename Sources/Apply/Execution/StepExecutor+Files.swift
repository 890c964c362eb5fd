// The steps that create entries other than directories: written from the store, sharing the blocks
// of a file with the same content, or linked to an identical entry.

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
        preconditionFailure("the planner makes no step for this kind of entry")
      }
    } finish: { temporary in
      try attributes.set(entry, at: parent.raw, temporary, path: step.path)
      attributes.verify(
        entry, try fileSystem.stat(at: parent.raw, temporary, followLink: false), path: step.path)
    }
    report.writtenFiles += 1
  }

  /// Writes a regular file.
  /// - Parameter source: a file with the same content, whose blocks are shared if possible.
  func writeFile(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8], cloning source: RelativePath?
  ) throws {
    let entry = step.entry
    guard case .file(let blob, let sizeBytes) = entry.content else {
      preconditionFailure("a file without content")
    }
    if failsIfChanged, sizeBytes >= StepExecutor.earlyCheckBytes {
      try requireUnchanged(step, parent, name)
    }
    let temporary = assumesEmpty ? name : temporaryName()
    let ready = linkStaged(entry, blob, sizeBytes, parent, temporary)
    var isReused = false
    let file: Descriptor
    if let ready {
      file = ready
    } else {
      let created = Monitor<Descriptor?>(nil)
      try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
        let new = try fileSystem.openFile(
          at: parent.raw, temporary, [.write, .create, .exclusive, .noFollow])
        created.withLock { $0 = new }
      }
      guard let new = created.withLock({ $0 }) else { return }
      file = new
    }
    do {
      if ready == nil {
        try attributes.prepare(entry, file.raw, try fileSystem.stat(file.raw), path: step.path)
      }
      if let source, let open = try openSource(source, step) {
        isReused = try clone(open, into: file)
      }
      // A staged file was hashed when it was staged.
      var isHashed = ready != nil
      if ready == nil, !isReused {
        isHashed = try contents.write(
          file, entry, blob, sizeBytes, over: existingFile(step, parent, name))
      }
      let isLinked = entry.linkGroup != 0
      try attributes.set(
        entry, of: file.raw, path: step.path, flags: assumesEmpty && !isLinked ? .set : .later)
      let written = try fileSystem.stat(file.raw)
      attributes.verify(entry, written, path: step.path)
      if !assumesEmpty {
        try publish(step, parent, temporary, name)
        if !isLinked { try attributes.setFlags(entry, of: file.raw, written, step.path) }
      }
      if isHashed { try recordVerified(file, written, blob, step, parent, name) }
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

  private func existingFile(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) -> ExistingFileSource? {
    // Under `.empty` the name belongs to the new file itself.
    guard !assumesEmpty, let old = step.old, old.kind == .file, old.sizeBytes > 0 else {
      return nil
    }
    // Two one-chunk files of the same size are equal or have no chunk in common.
    if old.sizeBytes == step.entry.sizeBytes, old.sizeBytes <= UInt64(Chunker.wholeFileBytes),
      old.blob != nil, old.blob != step.entry.blob
    {
      return nil
    }
    return ExistingFileSource(fileSystem, parent, name, sizeBytes: old.sizeBytes)
  }

  /// Links the staged file that contains the blob under the given name.
  /// - Returns: the file; nil if there is none, or this file system cannot link it.
  private func linkStaged(
    _ entry: Entry, _ blob: Digest, _ sizeBytes: UInt64, _ parent: Descriptor, _ name: [UInt8]
  ) -> Descriptor? {
    guard entry.holes == nil, let file = options.staged?(blob, sizeBytes),
      // It has the flag of the directory in which it was staged, and cannot change it.
      let stat = try? fileSystem.stat(file.raw),
      !attributes.flags(of: file.raw, stat).symmetricDifference(entry.flags)
        .contains(.noCopyOnWrite),
      (try? fileSystem.link(open: file.raw, to: parent.raw, name)) != nil
    else { return nil }
    progress.add(bytes: sizeBytes)
    return file
  }

  /// Records the file as verified if its name still belongs to the written file.
  private func recordVerified(
    _ file: Descriptor, _ written: FileStat, _ blob: Digest, _ step: Step, _ parent: Descriptor,
    _ name: [UInt8]
  ) throws(SystemError) {
    guard step.entry.holes == nil, step.entry.linkGroup == 0,
      report.writtenFileStates.count < ApplyReport.maxWrittenFileStates,
      let now = try fileSystem.statIfPresent(at: parent.raw, name),
      now.device == written.device,
      now.inode == written.inode, now.size == written.size, now.modified == written.modified
    else { return }
    let flags = attributes.flags(of: file.raw, now)
    report.writtenFileStates.append((target.address(step.path), now, flags, blob))
  }

  // MARK: Reuse

  /// Reuses the content of another path and, if possible, its whole inode, for a tree that is being staged.
  /// - Returns: false if the source cannot be used.
  func reuse(
    _ source: RelativePath, _ mayLink: Bool, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    let (sourceParent, sourceName) = try sourceDirectories.locate(source)
    if step.entry.kind == .file, try cloneFresh(source, step, parent, name) { return true }
    guard mayLink, let now = try fileSystem.statIfPresent(at: sourceParent.raw, sourceName),
      now.matchesMetadata(step.entry)
    else { return false }
    do throws(SystemError) {
      try fileSystem.link(at: sourceParent.raw, sourceName, to: parent.raw, name)
    } catch {
      // Too many links, or links to other users' files are forbidden: the caller copies instead.
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
    _ source: RelativePath, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    guard let open = try openSource(source, step) else { return false }
    let file = try fileSystem.openFile(
      at: parent.raw, name, [.write, .create, .exclusive, .noFollow])
    do {
      try attributes.prepare(
        step.entry, file.raw, try fileSystem.stat(file.raw), path: step.path)
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

  /// Shares the blocks of another file.
  /// - Returns: false if this is not possible; the file is then empty.
  private func clone(_ source: Descriptor, into file: Descriptor) throws(SystemError) -> Bool {
    do throws(SystemError) {
      try fileSystem.clone(source.raw, into: file.raw)
      return true
    } catch {
      guard
        [.notSupported, .invalid, .crossDevice, .notTerminal, .notPermitted].contains(error.code)
      else { throw error }
      // Btrfs does not share blocks between files with and without copy on write; others can be shared.
      if error.code != .invalid { canClone = false }
      return false
    }
  }

  /// Opens a file whose data may be reused, or returns nil if it differs from the plan or cannot be cloned.
  private func openSource(_ source: RelativePath, _ step: Step) throws(SystemError) -> Descriptor? {
    guard canClone else { return nil }
    let (parent, name) = try sourceDirectories.locate(source)
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
  /// Returns whether all attributes that the kernel reports equal those of the entry.
  fileprivate func matchesMetadata(_ entry: Entry) -> Bool {
    kind == entry.kind && modified == entry.modified && uid == entry.uid && gid == entry.gid
      && (kind == .symlink || mode == entry.mode) && (kind != .file || size == entry.sizeBytes)
  }
}

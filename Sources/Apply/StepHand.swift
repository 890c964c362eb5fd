// One thread's hand: runs steps one by one, keeping the last directories open.

import Codec
import Platform
import Store

/// Runs steps. Belongs to one thread at a time.
final class StepHand {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let base: Descriptor
  private let surroundings: Surroundings
  private let token: String
  private let staged: StagedBlobs?
  private let progress: Progress
  private let attributes: AttributeWriter
  private let contents: ContentWriter
  /// Knows its way where data is reused from, where that is not below `base`.
  private let donor: StepHand?
  /// All hands together hold about five hundred open.
  private static let mostDirectories = max(16, 512 / diskThreadCount)
  /// Files can share blocks, as far as this hand has learned.
  private var canClone = true
  private var directories: [[UInt8]: Descriptor] = [:]
  var report = ApplyReport()

  init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, base: Descriptor, donor: Descriptor? = nil,
    surroundings: Surroundings, token: String, staged: StagedBlobs? = nil, progress: Progress
  ) {
    self.staged = staged
    self.fileSystem = fileSystem
    self.store = store
    self.base = base
    self.surroundings = surroundings
    self.token = token
    self.progress = progress
    attributes = AttributeWriter(fileSystem, store)
    contents = ContentWriter(fileSystem, store, progress: progress)
    self.donor = donor.map {
      StepHand(
        fileSystem, store, base: $0, surroundings: surroundings, token: token, progress: progress)
    }
  }

  func run(_ steps: [Step]) throws {
    for step in steps {
      try Interruption.check()
      do {
        try run(step)
      } catch let error as ChangedMeanwhile {
        report.problems.append(ApplyProblem(path: step.path, what: error.what))
      } catch let error as SystemError {
        // Without its top directory nothing of a plan can be done.
        let isTop = step.path.firstIndex(of: 0x2f) == nil
        guard error.isBearable, !(isTop && step.entry.kind == .directory) else {
          throw SystemError(code: error.code, error.operation, step.path)
        }
        report.problems.append(ApplyProblem(path: step.path, what: error.finding))
      } catch let error as StoreError where error.kind == .damaged || error.kind == .missing {
        // The rest is still worth having; what was there stays.
        report.problems.append(
          ApplyProblem(path: step.path, what: "\(error.object) \(error.finding)"))
      }
      progress.add(items: 1)
    }
    report.problems += attributes.takeProblems()
  }

  private func run(_ step: Step) throws {
    let (parent, name) = try locate(step.path)
    switch step.action {
    case .remove(let kind):
      directories[step.path] = nil
      try requireUnchanged(step.entry, parent, name)
      try remove(parent, name, isDirectory: kind == .directory)
    case .makeDirectory:
      do {
        try fileSystem.makeDirectory(at: parent.raw, name, mode: 0o700)
      } catch {
        if error.code != .exists { throw error }
      }
    case .write: try write(step, parent, name)
    case .reuse(let source, let mayLink):
      if try !reuse(source, mayLink, step, parent, name) { try write(step, parent, name) }
    case .link(let target):
      try requireUnchanged(step.old, parent, name)
      let (targetParent, targetName) = try locate(target)
      try replace(parent, name) { temporary throws(SystemError) in
        try fileSystem.link(at: targetParent.raw, targetName, to: parent.raw, temporary)
      }
    case .setAttributes:
      report.changedAttributes += 1
      if step.entry.kind == .directory {
        let directory = try openDirectory(step.path)
        try attributes.set(step.entry, of: directory.raw, path: step.path)
      } else {
        try attributes.set(step.entry, at: parent.raw, name, path: step.path)
      }
    }
  }

  private func remove(
    _ parent: Descriptor, _ name: [UInt8], isDirectory: Bool
  ) throws(SystemError) {
    do {
      try fileSystem.remove(at: parent.raw, name, isDirectory: isDirectory)
      report.removed += 1
    } catch {
      if error.code != .notFound { throw error }
    }
  }

  // MARK: Entries

  private func write(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    let entry = step.entry
    try requireUnchanged(step.old, parent, name)
    if case .file(let blob, let size) = entry.content {
      try writeFile(step, blob, size, parent, name)
      return
    }
    try replace(parent, name) { temporary throws(SystemError) in
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
    }
    try attributes.set(entry, at: parent.raw, name, path: step.path)
    report.writtenFiles += 1
  }

  private func writeFile(
    _ step: Step, _ blob: Digest, _ sizeBytes: UInt64, _ parent: Descriptor, _ name: [UInt8]
  ) throws {
    let temporary = isFresh ? name : temporaryName()
    let ready = linkStaged(step.entry, blob, sizeBytes, parent, temporary)
    let file =
      try ready
      ?? fileSystem.openFile(at: parent.raw, temporary, [.write, .create, .exclusive, .noFollow])
    do {
      // Who staged a file has hashed it.
      let isHashed =
        if ready == nil {
          try contents.write(
            file, step.entry, blob, sizeBytes, over: oldContent(step, parent, name))
        } else {
          true
        }
      try attributes.set(step.entry, of: file.raw, path: step.path)
      let written = try fileSystem.stat(file.raw)
      if !isFresh {
        try fileSystem.rename(at: parent.raw, temporary, to: parent.raw, name, exclusively: false)
      }
      if isHashed { try attest(written, blob, step, parent, name) }
    } catch {
      try? fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
      throw error
    }
    report.writtenFiles += 1
    report.writtenBytes &+= sizeBytes
  }

  private func oldContent(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) -> OldContent? {
    // Where nothing can be there, the name is that of the file that is being written.
    guard !isFresh, let old = step.old, old.kind == .file, old.sizeBytes > 0 else { return nil }
    // One chunk of the same size is the same file, or has nothing of it.
    if old.sizeBytes == step.entry.sizeBytes, old.sizeBytes <= UInt64(Chunker.wholeFileBytes),
      old.blob != nil, old.blob != step.entry.blob
    {
      return nil
    }
    return OldContent(fileSystem, parent, name, sizeBytes: old.sizeBytes)
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
  private func attest(
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

  // MARK: What is there already

  /// Something else is there than the plan's maker saw: it is in no snapshot, so it stays.
  private struct ChangedMeanwhile: Error {
    let what: String
  }

  /// - Throws: `ChangedMeanwhile`.
  private func requireUnchanged(
    _ old: Entry?, _ parent: Descriptor, _ name: [UInt8]
  ) throws {
    guard case .asPlanned = surroundings else { return }
    guard let now = try fileSystem.statIfPresent(at: parent.raw, name) else { return }
    guard let old else {
      throw ChangedMeanwhile(what: "appeared while the image was being changed; it was left alone")
    }
    guard now.kind != .directory || old.kind != .directory else { return }
    guard now.kind == old.kind, now.modified == old.modified,
      now.kind != .file || now.size == old.sizeBytes
    else {
      throw ChangedMeanwhile(what: "changed while the image was being changed; it was left alone")
    }
  }

  /// Takes content and, where it can, the whole inode from another path.
  /// - Returns: false where it cannot be had there.
  private func reuse(
    _ source: [UInt8], _ mayLink: Bool, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    let (sourceParent, sourceName) = try donor?.locate(source) ?? locate(source)
    if canClone, step.entry.kind == .file,
      try clone(sourceParent, sourceName, step, parent, name)
    {
      return true
    }
    guard mayLink, let now = try fileSystem.statIfPresent(at: sourceParent.raw, sourceName),
      now.isAs(step.entry)
    else { return false }
    do throws(SystemError) {
      try fileSystem.link(at: sourceParent.raw, sourceName, to: parent.raw, name)
    } catch {
      // Too many links, or links of others' files are not allowed: a copy will do.
      guard [.tooManyLinks, .crossDevice, .notPermitted, .accessDenied].contains(error.code) else {
        throw error
      }
      return false
    }
    report.reusedFiles += 1
    return true
  }

  private func clone(
    _ sourceParent: Descriptor, _ sourceName: [UInt8], _ step: Step, _ parent: Descriptor,
    _ name: [UInt8]
  ) throws -> Bool {
    let source: Descriptor
    do throws(SystemError) {
      source = try fileSystem.openFile(
        at: sourceParent.raw, sourceName, [.read, .noFollow, .nonBlocking])
    } catch {
      if error.isAbsent || error.code == .accessDenied || error.code == .loop { return false }
      throw error
    }
    let now = try fileSystem.stat(source.raw)
    guard now.kind == .file, now.size == step.entry.sizeBytes, now.modified == step.old?.modified
    else { return false }
    let file = try fileSystem.openFile(
      at: parent.raw, name, [.write, .create, .exclusive, .noFollow])
    do {
      try fileSystem.clone(source.raw, into: file.raw)
      try attributes.set(step.entry, of: file.raw, path: step.path)
    } catch {
      try? fileSystem.remove(at: parent.raw, name, isDirectory: false)
      guard let error = error as? SystemError, error.operation == "clone",
        [.notSupported, .invalid, .crossDevice, .notTerminal, .notPermitted].contains(error.code)
      else { throw error }
      canClone = false
      return false
    }
    report.reusedFiles += 1
    return true
  }

  private var isFresh: Bool { if case .empty = surroundings { true } else { false } }

  /// Makes an entry under its name at once where nothing can be there, else beside it and renames.
  private func replace(
    _ parent: Descriptor, _ name: [UInt8], _ make: ([UInt8]) throws(SystemError) -> Void
  ) throws(SystemError) {
    if isFresh {
      try make(name)
      return
    }
    let temporary = temporaryName()
    try make(temporary)
    do {
      try fileSystem.rename(at: parent.raw, temporary, to: parent.raw, name, exclusively: false)
    } catch {
      try? fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
      throw error
    }
    // Renaming one link of an inode over another does nothing, and leaves the first.
    if try fileSystem.statIfPresent(at: parent.raw, temporary) != nil {
      try fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
    }
  }

  private func temporaryName() -> [UInt8] {
    Journal.prefix(token) + Array("-\(randomName())".utf8)
  }

  // MARK: Directories

  private func locate(_ path: [UInt8]) throws(SystemError) -> (Descriptor, [UInt8]) {
    guard let slash = path.lastIndex(of: 0x2f) else { return (base, path) }
    return (try openDirectory(Array(path[..<slash])), Array(path[(slash + 1)...]))
  }

  private func openDirectory(_ path: [UInt8]) throws(SystemError) -> Descriptor {
    if let found = directories[path] { return found }
    let (parent, name) = try locate(path)
    var directory: Descriptor
    do throws(SystemError) {
      directory = try fileSystem.openDirectory(at: parent.raw, name)
      if !isRoot { try makeAccessible(parent, name, directory) }
    } catch {
      // Its owner may be shut out by the mode; the plan sets the mode again at the end.
      guard error.code == .accessDenied, !isRoot else { throw error }
      try fileSystem.setMode(at: parent.raw, name, 0o700)
      directory = try fileSystem.openDirectory(at: parent.raw, name)
    }
    if directories.count >= StepHand.mostDirectories { directories.removeAll() }
    directories[path] = directory
    return directory
  }

  /// An owner who is not root needs rwx to work in a directory.
  private func makeAccessible(
    _ parent: Descriptor, _ name: [UInt8], _ directory: Descriptor
  ) throws(SystemError) {
    let stat = try fileSystem.stat(directory.raw)
    guard stat.mode & 0o700 != 0o700 else { return }
    do { try fileSystem.setMode(directory.raw, stat.mode | 0o700) } catch {
      if error.code != .notPermitted { throw error }
    }
  }
}

extension SystemError {
  /// The rest of the plan still makes sense: one entry could not be done.
  fileprivate var isBearable: Bool {
    switch code {
    case .noSpace, .quota, .inputOutput, .readOnly: false
    default: true
    }
  }
}

extension FileStat {
  /// As far as the kernel's attributes tell, what is there is what the entry says.
  fileprivate func isAs(_ entry: Entry) -> Bool {
    kind == entry.kind && modified == entry.modified && uid == entry.uid && gid == entry.gid
      && (kind == .symlink || mode == entry.mode) && (kind != .file || size == entry.sizeBytes)
  }
}

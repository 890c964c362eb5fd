// One thread's hand: runs steps one by one, keeping the last directories open.
//
// 1. What a step replaces, removes or alters is compared with what the plan saw, at that moment. Another
//    entry is left alone and listed.
// 2. Attributes are changed through an open file or directory, never by name, so that no link and no
//    exchange of names leads them elsewhere.
// 3. Open descriptors are bounded, however deep a tree is (`StepDirectories`).
//
// This file: the hand itself, directories and removals. StepExecutor+Files.swift writes entries, StepExecutor+Links.swift
// makes links and sets attributes.

import Codec
import Platform
import Store

/// Runs steps. Belongs to one thread at a time.
final class StepExecutor {
  let fileSystem: any FileSystem
  let store: ObjectStore
  let surroundings: ConflictPolicy
  let token: String
  let staged: StagedBlobs?
  let progress: Progress
  let attributes: AttributeWriter
  let contents: ContentWriter
  var replacement: EntryReplacement
  /// Knows its way where data is reused from, where that is not below `base`.
  let donor: StepDirectories?
  let directories: StepDirectories
  /// From here on a look before the content is written is worth a system call.
  static let earlyLookBytes: UInt64 = 1 << 20
  /// Files can share blocks, as far as this hand has learned.
  var canClone = true
  /// Directories that somebody else made meanwhile, or that others collide with: nothing is made there.
  var blocked: Set<[UInt8]> = []
  /// Names that stand for the first member of a link group where that one takes no more links.
  var otherLeaders: [[UInt8]: [UInt8]] = [:]
  var report = ApplyReport()

  init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, base: Descriptor, donor: Descriptor? = nil,
    surroundings: ConflictPolicy, token: String, staged: StagedBlobs? = nil, progress: Progress
  ) {
    self.staged = staged
    self.fileSystem = fileSystem
    self.store = store
    self.surroundings = surroundings
    self.token = token
    self.progress = progress
    attributes = AttributeWriter(fileSystem, store)
    contents = ContentWriter(fileSystem, store, progress: progress)
    replacement = EntryReplacement(fileSystem)
    directories = StepDirectories(fileSystem, base: base)
    self.donor = donor.map { StepDirectories(fileSystem, base: $0) }
  }

  func run(_ steps: [Step]) throws {
    for step in steps {
      try Interruption.check()
      do {
        if !blocked.isEmpty, isBlocked(step.path) {
          throw LeftAlone(what: "was not written: its folder was left alone")
        }
        try run(step)
      } catch let error as LeftAlone {
        report.problems.append(ApplyProblem(path: step.path, what: error.what))
      } catch let error as SystemError {
        // Without its top directory nothing of a plan can be done.
        let isTop = step.path.firstIndex(of: 0x2f) == nil
        guard error.isRecoverable, !(isTop && step.entry.kind == .directory) else {
          throw SystemError(code: error.code, error.operation, step.path)
        }
        report.problems.append(ApplyProblem(path: step.path, what: error.finding))
      } catch let error as StoreError where error.kind == .damaged || error.kind == .missing {
        // The rest is still worth having; what was there stays.
        report.problems.append(
          ApplyProblem(
            path: step.path, what: "\(error.object) \(error.finding)", isDamage: true))
      }
      progress.add(items: 1)
    }
    report.problems += attributes.takeProblems()
  }

  private func run(_ step: Step) throws {
    let (parent, name) = try directories.locate(step.path)
    switch step.action {
    case .remove:
      directories.forget(step.path)
      try remove(step, parent, name)
    case .makeDirectory: try makeDirectory(step, parent, name)
    case .write: try write(step, parent, name)
    case .reuse(let source, let mayLink):
      if step.entry.kind == .file, !isFresh {
        try writeFile(step, parent, name, cloning: source)
      } else if try !reuse(source, mayLink, step, parent, name) {
        try write(step, parent, name)
      }
    case .link(let target): try link(step, target, parent, name)
    case .setAttributes: try setAttributes(step, parent, name)
    }
  }

  // MARK: Directories

  private func makeDirectory(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    do throws(SystemError) {
      try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
        try fileSystem.makeDirectory(at: parent.raw, name, mode: 0o700)
      }
    } catch {
      guard error.code == .exists else { throw error }
      switch surroundings {
      case .any: return
      case .empty:
        if step.path.firstIndex(of: 0x2f) == nil { return }
        blocked.insert(step.path)
        throw LeftAlone(what: "was not written: another entry has this name on this file system")
      case .asPlanned:
        blocked.insert(step.path)
        throw LeftAlone.appeared
      }
    }
  }

  private func isBlocked(_ path: [UInt8]) -> Bool {
    if blocked.contains(path) { return true }
    var end = path.count
    while let slash = path[..<end].lastIndex(of: 0x2f) {
      if blocked.contains(Array(path[..<slash])) { return true }
      end = slash
    }
    return false
  }

  // MARK: Removals

  private func remove(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    if step.entry.kind == .directory || !isAsPlanned {
      do throws(SystemError) {
        try directories.changingNames(in: step.path, parent, name) { () throws(SystemError) in
          try fileSystem.remove(
            at: parent.raw, name, isDirectory: step.entry.kind == .directory)
        }
        report.removed += 1
      } catch {
        if error.code != .notFound { throw error }
      }
      return
    }
    let expected = replaced(step)
    guard let now = try fileSystem.statIfPresent(at: parent.raw, name) else { return }
    guard expected.allows(now) else { throw LeftAlone.changed }
    let flags = try ProtectingFlags.clear(fileSystem, at: parent.raw, name, now)
    defer { flags?.restoreIfInUse() }
    // Out of the way first: what is looked at then is what is removed.
    let temporary = temporaryName()
    do throws(SystemError) {
      try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
        try fileSystem.rename(
          at: parent.raw, name, to: parent.raw, temporary, exclusively: false)
      }
    } catch {
      if error.code == .notFound { return }
      throw error
    }
    let out = try fileSystem.stat(at: parent.raw, temporary, followLink: false)
    guard out.hasContent(of: now) else {
      let result = try replacement.publish(
        at: parent.raw, temporary, as: name, replacing: .nothing)
      throw result == .done
        ? LeftAlone.changed
        : LeftAlone(what: "changed twice meanwhile; one of its states is \(printable(temporary))")
    }
    try fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
    report.removed += 1
  }

  // MARK: What is replaced

  /// Something else is there than the plan's maker saw: it is in no snapshot, so it stays.
  struct LeftAlone: Error {
    let what: String
    static let appeared = LeftAlone(
      what: "appeared while the image was being changed; it was left alone")
    static let changed = LeftAlone(
      what: "changed while the image was being changed; it was left alone")
  }

  var isFresh: Bool { if case .empty = surroundings { true } else { false } }
  var isAsPlanned: Bool { if case .asPlanned = surroundings { true } else { false } }

  func replaced(_ step: Step) -> ReplacedEntry {
    guard isAsPlanned else { return .anything }
    if let seen = step.seen { return .seen(seen) }
    return step.old.map { .recorded($0) } ?? .nothing
  }

  /// - Throws: `LeftAlone`.
  func requireUnchanged(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    guard let now = try fileSystem.statIfPresent(at: parent.raw, name) else { return }
    let expected = replaced(step)
    if case .nothing = expected { throw LeftAlone.appeared }
    guard expected.allows(now) else { throw LeftAlone.changed }
  }

  /// Gives a complete entry its name.
  /// - Throws: `LeftAlone`, `SystemError`; the entry has its temporary name then.
  func publish(
    _ step: Step, _ parent: Descriptor, _ temporary: [UInt8], _ name: [UInt8]
  ) throws {
    let result = Monitor(ReplacementResult.done)
    try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
      let outcome = try replacement.publish(
        at: parent.raw, temporary, as: name, replacing: replaced(step))
      result.withLock { $0 = outcome }
    }
    switch result.withLock({ $0 }) {
    case .done: return
    case .appeared: throw LeftAlone.appeared
    case .changed: throw LeftAlone.changed
    }
  }

  /// Makes an entry under its name at once where nothing can be there, else next to it and renames.
  /// - Parameter finish: completes the entry, under the name that it has then.
  func replace(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8],
    _ make: ([UInt8]) throws(SystemError) -> Void, finish: ([UInt8]) throws -> Void
  ) throws {
    if isFresh {
      try make(name)
      try finish(name)
      return
    }
    let temporary = temporaryName()
    try directories.changingNames(in: step.path, parent, nil) { () throws(SystemError) in
      try make(temporary)
    }
    do {
      try finish(temporary)
      try publish(step, parent, temporary, name)
    } catch {
      try? fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
      throw error
    }
    // Renaming one link of an inode over another does nothing, and leaves the first.
    if case .link = step.action, !isAsPlanned,
      try fileSystem.statIfPresent(at: parent.raw, temporary) != nil
    {
      try fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
    }
  }

  func temporaryName() -> [UInt8] {
    Journal.prefix(token) + Array("-\(randomName())".utf8)
  }
}

extension SystemError {
  /// The rest of the plan still makes sense: one entry could not be done.
  var isRecoverable: Bool {
    switch code {
    case .noSpace, .quota, .inputOutput, .readOnly, .tooLarge: false
    // Every other entry would meet the same: the change stops, and its journal stays.
    default: !isExhaustion || code == .notImplemented
    }
  }
}

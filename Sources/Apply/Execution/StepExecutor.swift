// Runs steps one by one on one thread, keeping the most recent directories open.
//
// 1. An entry that a step replaces, removes or alters is compared with the one that the plan saw,
//    immediately before the change. A different entry is left alone and reported.
// 2. Attributes are changed through an open file or directory, never by name. No link and no
//    exchange of names can redirect the change.
// 3. The number of open descriptors is bounded, however deep a tree is (`StepDirectories`).
//
// This file contains the executor itself, directories and removals. StepExecutor+Files.swift writes
// entries. StepExecutor+Links.swift creates links and sets attributes.

import Platform
import Store

/// Runs steps. Belongs to one thread at a time.
final class StepExecutor {
  let fileSystem: any FileSystem
  let store: ObjectStore
  let target: ExecutionTarget
  let options: ExecutionOptions
  let progress: Progress
  let attributes: AttributeWriter
  let contents: ContentWriter
  var replacement: EntryReplacement
  let directories: StepDirectories
  /// Opens the directories of reused data; `directories` if these are of the component itself.
  let sourceDirectories: StepDirectories
  /// The minimum size of files that are checked for conflicts before their content is written. For
  /// smaller ones the extra system call does not pay off.
  static let earlyCheckBytes: UInt64 = 1 << 20
  /// Whether files can share blocks, as far as this executor knows.
  var canClone = true
  /// Directories that another process created meanwhile, or that collide with other entries.
  /// Nothing is created in them.
  var blocked: Set<RelativePath> = []
  /// Substitutes for the first member of a link group that accepts no more links.
  var otherLeaders: [LinkLeader: RelativePath] = [:]
  var report = ApplyReport()

  init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, _ target: ExecutionTarget,
    _ options: ExecutionOptions, _ progress: Progress
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.target = target
    self.options = options
    self.progress = progress
    attributes = AttributeWriter(fileSystem, store)
    contents = ContentWriter(fileSystem, store, progress: progress)
    replacement = EntryReplacement(fileSystem)
    let share = target.cloneSource == nil ? 1 : 2
    directories = StepDirectories(fileSystem, target.location, share: share)
    sourceDirectories =
      target.cloneSource.map { StepDirectories(fileSystem, $0, share: share) } ?? directories
  }

  func run(_ steps: [Step]) throws {
    for step in steps {
      try Interruption.check()
      do {
        if !blocked.isEmpty, isBlocked(step.path) {
          throw EntryChangedError(what: "was not written: its directory was left alone")
        }
        try run(step)
      } catch let error as EntryChangedError {
        note(step, error.what)
      } catch let error as SystemError {
        // Without its top directory, no step of a plan can run.
        guard error.isRecoverable, !(step.path.isTop && step.entry.kind == .directory) else {
          let path = ImagePath(component: target.location.name, path: step.path)
          throw SystemError(code: error.code, error.operation, path.bytes)
        }
        note(step, error.reason)
      } catch let error as StoreError where error.kind == .damaged || error.kind == .missing {
        // The other entries are still written; the existing entry stays.
        note(step, "\(error.subject) \(error.reason)", isDamage: true)
      }
      progress.add(items: 1)
    }
    noteAttributes()
  }

  // MARK: Problems

  func note(_ step: Step, _ what: String, isDamage: Bool = false) {
    report.problems.append(
      ApplyProblem(path: target.address(step.path).bytes, what: what, isDamage: isDamage))
  }

  /// Reports the attributes that could not be set.
  func noteAttributes() {
    report.problems += attributes.takeProblems().map {
      ApplyProblem(path: target.address($0.path).bytes, what: $0.what, isAttribute: true)
    }
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
      if step.entry.kind == .file, !assumesEmpty {
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
      switch options.conflictPolicy {
      case .overwrite: return
      case .assumeEmpty:
        if step.path.isTop { return }
        blocked.insert(step.path)
        throw EntryChangedError(
          what: "was not written: another entry has this name on this file system")
      case .failIfChanged:
        blocked.insert(step.path)
        throw EntryChangedError.appeared
      }
    }
  }

  private func isBlocked(_ path: RelativePath) -> Bool {
    var path = path
    while !blocked.contains(path) {
      if path.isTop { return false }
      path = path.parent
    }
    return true
  }

  // MARK: Removals

  private func remove(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    if step.entry.kind == .directory || !failsIfChanged {
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
    guard expected.allows(now) else { throw EntryChangedError.changed }
    let flags = try ProtectingFlags.clear(fileSystem, at: parent.raw, name, now)
    defer { flags?.restoreIfInUse() }
    // Rename the entry first, so that the examined entry is the one that is removed.
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
    let moved = try fileSystem.stat(at: parent.raw, temporary, followLink: false)
    guard moved.hasContent(of: now) else {
      let result = try replacement.publish(
        at: parent.raw, temporary, as: name, replacing: .nothing)
      throw result == .done
        ? EntryChangedError.changed
        : EntryChangedError(
          what: "changed twice meanwhile; one version is kept as \(printable(temporary))")
    }
    try fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
    report.removed += 1
  }

  // MARK: Conflicts

  /// The existing entry differs from the one that the plan saw. No snapshot contains it, so it stays.
  struct EntryChangedError: Error {
    let what: String
    static let appeared = EntryChangedError(
      what: "appeared while the image was being changed; it was left alone")
    static let changed = EntryChangedError(
      what: "changed while the image was being changed; it was left alone")
  }

  var assumesEmpty: Bool { if case .assumeEmpty = options.conflictPolicy { true } else { false } }
  var failsIfChanged: Bool {
    if case .failIfChanged = options.conflictPolicy { true } else { false }
  }

  func replaced(_ step: Step) -> ReplacedEntry {
    guard failsIfChanged else { return .anything }
    if let seen = step.seen { return .seen(seen) }
    return step.old.map { .recorded($0) } ?? .nothing
  }

  /// Checks that the existing entry may be replaced.
  /// - Throws: `EntryChangedError`, `SystemError`.
  func requireUnchanged(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    guard let now = try fileSystem.statIfPresent(at: parent.raw, name) else { return }
    let expected = replaced(step)
    if case .nothing = expected { throw EntryChangedError.appeared }
    guard expected.allows(now) else { throw EntryChangedError.changed }
  }

  /// Gives a complete entry its name.
  /// - Throws: `EntryChangedError`, `SystemError`; the entry then keeps its temporary name.
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
    case .appeared: throw EntryChangedError.appeared
    case .changed: throw EntryChangedError.changed
    }
  }

  /// Creates an entry: directly under its name if no other can exist, otherwise next to it,
  /// followed by a rename.
  /// - Parameter finish: completes the entry under its current name.
  func replace(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8],
    _ make: ([UInt8]) throws(SystemError) -> Void, finish: ([UInt8]) throws -> Void
  ) throws {
    if assumesEmpty {
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
    // Renaming a link over another link of the same inode does nothing and keeps both names.
    if case .link = step.action, !failsIfChanged,
      try fileSystem.statIfPresent(at: parent.raw, temporary) != nil
    {
      try fileSystem.remove(at: parent.raw, temporary, isDirectory: false)
    }
  }

  func temporaryName() -> [UInt8] {
    TemporaryName.prefix(options.token) + Array("-\(randomName())".utf8)
  }
}

extension SystemError {
  /// Whether other steps can still succeed after this error.
  var isRecoverable: Bool {
    switch code {
    case .noSpace, .quota, .inputOutput, .readOnly, .tooLarge: false
    // Every other step would fail the same way, so the change stops and its journal stays.
    default: !isExhaustion || code == .notImplemented
    }
  }
}

// One thread's hand: runs steps one by one, keeping the last directories open.
//
// 1. What a step replaces, removes or alters is compared with what the plan saw, at that moment. Another
//    entry is left alone and listed.
// 2. Attributes are changed through an open file or directory, never by name, so that no link and no
//    exchange of names leads them elsewhere.
// 3. Open descriptors are bounded, however deep a tree is.

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
  private var replacement: EntryReplacement
  /// Knows its way where data is reused from, where that is not below `base`.
  private let donor: StepHand?
  /// All hands together hold about five hundred open.
  private static let mostDirectories = max(16, 512 / diskThreadCount)
  /// From here on a look before the content is written is worth a system call.
  private static let earlyLookBytes: UInt64 = 1 << 20
  /// Files can share blocks, as far as this hand has learned.
  private var canClone = true
  private var directories: [[UInt8]: Descriptor] = [:]
  /// Directories that somebody else made meanwhile, or that others collide with: nothing is made there.
  var blocked: Set<[UInt8]> = []
  /// Directories whose attributes, flags included, a step has set.
  private var finished: Set<[UInt8]> = []
  /// Directories whose protecting flags were taken off.
  private var unprotected: [[UInt8]: ProtectingFlags] = [:]
  /// Names that stand for the first member of a link group where that one takes no more links.
  private var otherLeaders: [[UInt8]: [UInt8]] = [:]
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
    replacement = EntryReplacement(fileSystem)
    self.donor = donor.map {
      StepHand(
        fileSystem, store, base: $0, surroundings: surroundings, token: token, progress: progress)
    }
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
    case .remove:
      directories[step.path] = nil
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
      try changingNames(in: step.path, parent, nil) { () throws(SystemError) in
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
        try changingNames(in: step.path, parent, name) { () throws(SystemError) in
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
      try changingNames(in: step.path, parent, nil) { () throws(SystemError) in
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

  // MARK: Entries

  private func write(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
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
  private func writeFile(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8], cloning source: [UInt8]?
  ) throws {
    let entry = step.entry
    guard case .file(let blob, let sizeBytes) = entry.content else {
      preconditionFailure("a file without content")
    }
    if isAsPlanned, sizeBytes >= StepHand.earlyLookBytes {
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
      try changingNames(in: step.path, parent, nil) { () throws(SystemError) in
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
      if isHashed { try attest(written, blob, step, parent, name) }
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

  // MARK: Links

  private func link(
    _ step: Step, _ target: [UInt8], _ parent: Descriptor, _ name: [UInt8]
  ) throws {
    let folder = target + [0] + step.path[..<(step.path.lastIndex(of: 0x2f) ?? 0)]
    let leader = otherLeaders[folder] ?? otherLeaders[target] ?? target
    let (leaderParent, leaderName) = try locate(leader)
    do {
      try replace(step, parent, name) { temporary throws(SystemError) in
        try addLink(of: leaderParent, leaderName, parent, temporary)
      } finish: { _ in
      }
    } catch let error as SystemError {
      switch error.code {
      case .tooManyLinks: otherLeaders[target] = step.path
      case .crossDevice: otherLeaders[folder] = step.path
      case .notPermitted, .notSupported, .notImplemented, .accessDenied: break
      default: throw error
      }
      // The content matters more than the link. A copy that is right already is left.
      let isCopy = step.old.map { $0.changes(to: step.entry).subtracting(.links).isEmpty } ?? false
      if !isCopy { try write(step, parent, name) }
      attributes.note(step.path, "is a copy instead of a hard link: \(error.code)")
    }
  }

  private func addLink(
    of leaderParent: Descriptor, _ leader: [UInt8], _ parent: Descriptor, _ temporary: [UInt8]
  ) throws(SystemError) {
    do throws(SystemError) {
      try fileSystem.link(at: leaderParent.raw, leader, to: parent.raw, temporary)
    } catch {
      // An inode with protecting flags takes no links.
      guard error.code == .notPermitted,
        let now = try fileSystem.statIfPresent(at: leaderParent.raw, leader),
        let flags = try ProtectingFlags.clear(fileSystem, at: leaderParent.raw, leader, now)
      else { throw error }
      defer { flags.restore() }
      try fileSystem.link(at: leaderParent.raw, leader, to: parent.raw, temporary)
    }
  }

  // MARK: Attributes

  private func setAttributes(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    let file: Descriptor
    if step.entry.kind == .directory {
      file = try openDirectory(step.path)
    } else {
      do throws(SystemError) {
        file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
      } catch {
        // Its owner may be shut out by the mode: a new file needs no way in.
        guard error.code == .accessDenied else { throw error }
        try writeFile(step, parent, name, cloning: nil)
        return
      }
    }
    var now = try fileSystem.stat(file.raw)
    guard now.kind == step.entry.kind, !isAsPlanned || replaced(step).allows(now) || step.old == nil
    else { throw LeftAlone.changed }
    let flags =
      now.flags.isDisjoint(with: .protecting)
      ? nil : try ProtectingFlags.clear(fileSystem, file)
    if flags != nil { now.flags.subtract(.protecting) }
    do {
      try attributes.set(step.entry, of: file.raw, path: step.path, now: now)
      if step.old == nil {
        attributes.verify(step.entry, try fileSystem.stat(file.raw), path: step.path)
      }
    } catch {
      flags?.restore()
      throw error
    }
    if step.entry.kind == .directory, unprotected[step.path] != nil { finished.insert(step.path) }
    report.changedAttributes += 1
  }

  /// Sets the flags of files that have all their names by now.
  func setFlags(_ steps: [Step]) throws {
    for step in steps {
      do throws(SystemError) {
        let (parent, name) = try locate(step.path)
        let file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
        let now = try fileSystem.stat(file.raw)
        guard now.kind == .file, now.modified == step.entry.modified else { continue }
        try attributes.setFlags(step.entry, of: file.raw, now.flags, step.path)
      } catch {
        guard error.isBearable else { throw error }
        report.problems.append(ApplyProblem(path: step.path, what: error.finding))
      }
    }
    report.problems += attributes.takeProblems()
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

  private var isFresh: Bool { if case .empty = surroundings { true } else { false } }
  private var isAsPlanned: Bool { if case .asPlanned = surroundings { true } else { false } }

  private func replaced(_ step: Step) -> ReplacedEntry {
    guard isAsPlanned else { return .anything }
    if let seen = step.seen { return .seen(seen) }
    return step.old.map { .recorded($0) } ?? .nothing
  }

  /// - Throws: `LeftAlone`.
  private func requireUnchanged(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    guard let now = try fileSystem.statIfPresent(at: parent.raw, name) else { return }
    let expected = replaced(step)
    if case .nothing = expected { throw LeftAlone.appeared }
    guard expected.allows(now) else { throw LeftAlone.changed }
  }

  /// Gives a complete entry its name.
  /// - Throws: `LeftAlone`, `SystemError`; the entry has its temporary name then.
  private func publish(
    _ step: Step, _ parent: Descriptor, _ temporary: [UInt8], _ name: [UInt8]
  ) throws {
    let result = Monitor(ReplacementResult.done)
    try changingNames(in: step.path, parent, nil) { () throws(SystemError) in
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
  private func replace(
    _ step: Step, _ parent: Descriptor, _ name: [UInt8],
    _ make: ([UInt8]) throws(SystemError) -> Void, finish: ([UInt8]) throws -> Void
  ) throws {
    if isFresh {
      try make(name)
      try finish(name)
      return
    }
    let temporary = temporaryName()
    try changingNames(in: step.path, parent, nil) { () throws(SystemError) in try make(temporary) }
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

  // MARK: Reuse

  /// Takes content and, where it can, the whole inode from another path, for a tree that is being built.
  /// - Returns: false where it cannot be had there.
  private func reuse(
    _ source: [UInt8], _ mayLink: Bool, _ step: Step, _ parent: Descriptor, _ name: [UInt8]
  ) throws -> Bool {
    let (sourceParent, sourceName) = try donor?.locate(source) ?? locate(source)
    if canClone, step.entry.kind == .file,
      try cloneFresh(source, step, parent, name)
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
    let (parent, name): (Descriptor, [UInt8])
    if let donor {
      (parent, name) = try donor.locate(source)
    } else {
      (parent, name) = try locate(source)
    }
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

  private func temporaryName() -> [UInt8] {
    Journal.prefix(token) + Array("-\(randomName())".utf8)
  }

  // MARK: Directories

  /// Changes names in the directory of a path, whose protecting flags give way where it is the plan's.
  private func changingNames(
    in path: [UInt8], _ parent: Descriptor, _ name: [UInt8]?,
    _ body: () throws(SystemError) -> Void
  ) throws(SystemError) {
    do throws(SystemError) {
      try body()
    } catch {
      guard error.code == .notPermitted else { throw error }
      var isCleared = false
      if let slash = path.lastIndex(of: 0x2f),
        let flags = try ProtectingFlags.clear(fileSystem, parent)
      {
        // Its own step sets them again; where it has none, this hand does in the end.
        unprotected[Array(path[..<slash])] = flags
        isCleared = true
      }
      var own: ProtectingFlags?
      defer { own?.restoreIfInUse() }
      if let name, let now = try fileSystem.statIfPresent(at: parent.raw, name) {
        own = try ProtectingFlags.clear(fileSystem, at: parent.raw, name, now)
        isCleared = isCleared || own != nil
      }
      guard isCleared else { throw error }
      try body()
    }
  }

  /// Directories whose flags were taken off, and that no step has finished, get them back.
  func restoreFolderFlags() {
    for (path, flags) in takeUnprotected() where !finished.contains(path) { flags.restore() }
  }

  func takeUnprotected() -> [[UInt8]: ProtectingFlags] {
    defer { unprotected = [:] }
    return unprotected
  }

  func add(unprotected flags: [[UInt8]: ProtectingFlags]) {
    unprotected.merge(flags) { first, _ in first }
  }

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
    case .noSpace, .quota, .inputOutput, .readOnly, .tooLarge: false
    // Every other entry would meet the same: the change stops, and its journal stays.
    default: !isExhaustion || code == .notImplemented
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

// The steps that change existing entries: hard links, attributes, flags.

import Platform
import Store

/// The first member of a link group, for all directories or for one: quotas of some file systems forbid links
/// between directories.
struct LinkLeader: Hashable {
  let path: RelativePath
  var directory: RelativePath?
}

extension StepExecutor {
  func link(
    _ step: Step, _ target: RelativePath, _ parent: Descriptor, _ name: [UInt8]
  ) throws {
    let everywhere = LinkLeader(path: target)
    let inDirectory = LinkLeader(path: target, directory: step.path.parent)
    let leader = otherLeaders[inDirectory] ?? otherLeaders[everywhere] ?? target
    let (leaderParent, leaderName) = try directories.locate(leader)
    do {
      try replace(step, parent, name) { temporary throws(SystemError) in
        try addLink(of: leaderParent, leaderName, parent, temporary)
      } finish: { _ in
      }
    } catch let error as SystemError {
      switch error.code {
      case .tooManyLinks: otherLeaders[everywhere] = step.path
      case .crossDevice: otherLeaders[inDirectory] = step.path
      case .notPermitted, .notSupported, .notImplemented, .accessDenied: break
      default: throw error
      }
      // The content matters more than the link. A correct copy is left as it is.
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
      // An inode with protecting flags cannot be linked.
      guard error.code == .notPermitted,
        let now = try fileSystem.statIfPresent(at: leaderParent.raw, leader),
        let flags = try ProtectingFlags.clear(fileSystem, at: leaderParent.raw, leader, now)
      else { throw error }
      defer { flags.restore() }
      try fileSystem.link(at: leaderParent.raw, leader, to: parent.raw, temporary)
    }
  }

  // MARK: Attributes

  func setAttributes(_ step: Step, _ parent: Descriptor, _ name: [UInt8]) throws {
    let file: Descriptor
    if step.entry.kind == .directory {
      file = try directories.open(step.path)
    } else {
      do throws(SystemError) {
        file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
      } catch {
        // The mode may deny access to the owner. A new file does not need it.
        guard error.code == .accessDenied else { throw error }
        try writeFile(step, parent, name, cloning: nil)
        return
      }
    }
    var now = try fileSystem.stat(file.raw)
    guard now.kind == step.entry.kind,
      !failsIfChanged || replaced(step).allows(now) || step.old == nil
    else { throw EntryChangedError.changed }
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
    if step.entry.kind == .directory { directories.noteFinished(step.path) }
    report.changedAttributes += 1
  }

  /// Sets the flags of files that now have all their names.
  func setFlags(_ steps: [Step]) throws {
    for step in steps {
      do throws(SystemError) {
        let (parent, name) = try directories.locate(step.path)
        // Its mode may forbid its owner to open it, which is not needed without flags.
        if step.entry.flags.isEmpty, let seen = try fileSystem.statIfPresent(at: parent.raw, name),
          seen.reportsFlags, seen.flags.isEmpty
        {
          continue
        }
        let file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
        let now = try fileSystem.stat(file.raw)
        guard now.kind == .file, now.modified == step.entry.modified else { continue }
        try attributes.setFlags(step.entry, of: file.raw, now, step.path)
      } catch {
        guard error.isRecoverable else { throw error }
        note(step, error.reason)
      }
    }
    noteAttributes()
  }
}

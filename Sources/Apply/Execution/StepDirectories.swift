// The directories in which steps work. They are made accessible, and cleared protecting flags are restored.

import Platform

/// Opens the directories of a component. Belongs to one thread at a time.
final class StepDirectories {
  private let fileSystem: any FileSystem
  private let top: ResolvedPath
  /// All threads together keep about five hundred open.
  private static let maxOpen = max(16, 512 / diskThreadCount)
  private let opened: OpenDirectories
  /// Directories whose attributes, including flags, a step has set.
  private var finished: Set<RelativePath> = []
  /// Directories whose protecting flags were cleared.
  private var unprotected: [RelativePath: ProtectingFlags] = [:]

  /// - Parameter share: the number of instances that each thread has.
  init(_ fileSystem: any FileSystem, _ top: ResolvedPath, share: Int) {
    self.fileSystem = fileSystem
    self.top = top
    opened = OpenDirectories(top, limit: StepDirectories.maxOpen / share) {
      parent, name throws(SystemError) in
      try StepDirectories.open(name, in: parent, fileSystem)
    }
  }

  /// Closes a directory that is about to be removed.
  func forget(_ path: RelativePath) { opened.forget(path) }

  /// Records that a step has set the directory's flags.
  func noteFinished(_ path: RelativePath) {
    if unprotected[path] != nil { finished.insert(path) }
  }

  /// Changes names in the directory of a path. Protecting flags of the directory and of the named
  /// entry are cleared if they forbid the change.
  func changingNames(
    in path: RelativePath, _ parent: Descriptor, _ name: [UInt8]?,
    _ body: () throws(SystemError) -> Void
  ) throws(SystemError) {
    do throws(SystemError) {
      try body()
    } catch {
      guard error.code == .notPermitted else { throw error }
      var isCleared = false
      if !path.isTop, let flags = try ProtectingFlags.clear(fileSystem, parent) {
        // The directory's own step sets them again; without one, `restoreFlags` does at the end.
        unprotected[path.parent] = flags
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

  /// Restores the flags of directories that no step has finished.
  func restoreFlags() {
    for (path, flags) in takeUnprotected() where !finished.contains(path) { flags.restore() }
  }

  func takeUnprotected() -> [RelativePath: ProtectingFlags] {
    defer { unprotected = [:] }
    return unprotected
  }

  func add(unprotected flags: [RelativePath: ProtectingFlags]) {
    unprotected.merge(flags) { first, _ in first }
  }

  func locate(_ path: RelativePath) throws(SystemError) -> (Descriptor, [UInt8]) {
    if path.isTop { return (top.directory, top.name) }
    return (try open(path.parent), path.lastComponent)
  }

  func open(_ path: RelativePath) throws(SystemError) -> Descriptor { try opened.open(path) }

  private static func open(
    _ name: [UInt8], in parent: Descriptor, _ fileSystem: any FileSystem
  ) throws(SystemError) -> Descriptor {
    do throws(SystemError) {
      let directory = try fileSystem.openDirectory(at: parent.raw, name)
      if !isRoot { try makeAccessible(directory, fileSystem) }
      return directory
    } catch {
      // The mode may deny access to the owner; the plan sets the mode again at the end.
      guard error.code == .accessDenied, !isRoot else { throw error }
      try fileSystem.setMode(at: parent.raw, name, 0o700)
      return try fileSystem.openDirectory(at: parent.raw, name)
    }
  }

  /// Grants rwx to an owner who is not root, which is required to work in a directory.
  private static func makeAccessible(
    _ directory: Descriptor, _ fileSystem: any FileSystem
  ) throws(SystemError) {
    let stat = try fileSystem.stat(directory.raw)
    guard stat.mode & 0o700 != 0o700 else { return }
    do { try fileSystem.setMode(directory.raw, stat.mode | 0o700) } catch {
      if error.code != .notPermitted { throw error }
    }
  }
}

// Measures the space of a standby tree: its apparent size, and the bytes that it shares with no other file.

import Platform

/// Measures the space of a tree. No link is followed.
struct StandbySpaceReader {
  private let fileSystem: any FileSystem

  init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// The counts, and the files with several names that were counted already.
  private struct State {
    var space = StandbySpace(exclusiveBytes: 0)
    var seen: Set<FileIdentity> = []
  }

  /// Returns the space of a tree. Entries that disappear meanwhile are left out.
  /// - Throws: `SystemError` if the tree cannot be opened.
  func space(of location: ResolvedPath) throws -> StandbySpace {
    let state = Monitor(State())
    try WorkStack().run([location], threads: diskThreadCount) { pending in
      try measure(pending, state)
    }
    return state.withLock { $0.space }
  }

  /// Measures the entries of one directory.
  /// - Returns: the directories in it.
  private func measure(
    _ location: ResolvedPath, _ state: Monitor<State>
  ) throws(SystemError) -> [ResolvedPath] {
    let directory = try fileSystem.openDirectory(at: location.directory.raw, location.name)
    var below: [ResolvedPath] = []
    for name in try fileSystem.names(of: directory.raw) {
      guard let stat = try fileSystem.statIfPresent(at: directory.raw, name) else { continue }
      if stat.kind == .directory {
        below.append(ResolvedPath(directory: directory, name: name))
      }
      let isFirst = state.withLock { state in
        state.space.entries += 1
        return stat.links <= 1 || state.seen.insert(FileIdentity(stat)).inserted
      }
      guard stat.kind == .file, isFirst else { continue }
      let exclusive = stat.size == 0 ? 0 : exclusiveBytes(directory, name)
      state.withLock { state in
        state.space.contentBytes &+= stat.size
        state.space.exclusiveBytes = state.space.exclusiveBytes.flatMap { sum in
          exclusive.map { sum &+ $0 }
        }
      }
    }
    return below
  }

  private func exclusiveBytes(_ directory: Descriptor, _ name: [UInt8]) -> UInt64? {
    guard
      let file = try? fileSystem.openFile(
        at: directory.raw, name, [.read, .noFollow, .nonBlocking])
    else { return nil }
    return fileSystem.exclusiveBytes(file.raw)
  }
}

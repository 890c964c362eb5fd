// Remembers the commands of the management node that `run --host` and the wrappers of hooks start. No lock is
// held while such a command runs, and it outlives an imgstore that is killed.
//
// 1. The record is in the store's cache before the command begins, and is removed after its result is
//    recorded. It may be lost with the cache: then only its warnings are missing.
// 2. Nothing is refused because of a record. A command that needs the live image warns. `maintain` skips the
//    image while the command works on it.
// 3. A process counts as running or ended only if that is certain.

import Depot
import Glibc
import Platform
import Store

/// A command of the management node that changes an image.
struct HostRun {
  /// The command as text.
  let command: String
  /// The imgstore that started it.
  let starter: ProcessIdentity
  /// The process of the command.
  let process: ProcessIdentity

  /// The state of a command, as far as this host can tell.
  enum State {
    case running
    /// It runs, but imgstore was killed and records no result.
    case abandoned
    /// It ended after imgstore was killed, so nothing recorded its result.
    case unrecorded
    case unknown
  }

  /// Returns the state of the command.
  func state(_ fileSystem: any FileSystem) -> State {
    let own = ProcessIdentity.current(fileSystem)
    if own.hasRestarted(since: process) { return .unrecorded }
    let isStarterDead = own.knowsDead(starter, fileSystem)
    if own.knowsAlive(process, fileSystem) { return isStarterDead ? .abandoned : .running }
    return isStarterDead && own.knowsDead(process, fileSystem) ? .unrecorded : .unknown
  }

  fileprivate var bytes: [UInt8] {
    Array(
      "command \(command)\n\(HostRun.separator)\(starter.text)\(HostRun.separator)\(process.text)"
        .utf8)
  }

  fileprivate init?(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let parts = text.split(separator: HostRun.separator, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].hasPrefix("command "),
      let starter = ProcessIdentity(Array(parts[1].utf8)),
      let process = ProcessIdentity(Array(parts[2].utf8))
    else { return nil }
    command = String(parts[0].dropFirst("command ".count).prefix { $0 != "\n" })
    (self.starter, self.process) = (starter, process)
  }

  fileprivate init(command: String, starter: ProcessIdentity, process: ProcessIdentity) {
    (self.command, self.starter, self.process) = (command, starter, process)
  }

  private static let separator = "--\n"
}

/// Keeps the records of commands of the management node.
struct HostRuns: Collaborator {
  let context: Context
  private static let maxBytes = 64 << 10
  /// The characters of a command in a record.
  private static let maxCommand = 4096

  /// Records a command that is about to begin. A store that cannot be written keeps no record.
  /// - Parameter process: the number of its process.
  func begin(_ image: ImageName, command: String, process: Int) {
    guard let store = try? context.store() else { return }
    let files = store.layout.fileSystem
    let run = HostRun(
      command: String(command.prefix(HostRuns.maxCommand)),
      starter: .current(files), process: .current(files, of: process))
    try? files.replaceFile(at: store.layout.cache.raw, name(image), with: run.bytes)
  }

  /// Removes the record of a command that this process started.
  func end(_ image: ImageName) {
    guard let run = read(image), isOwn(run) else { return }
    remove(image)
  }

  /// Warns about a command that this process did not start, and that it does not belong to.
  /// - Parameter isRecording: whether the caller goes on to record the live image, or to keep its state.
  func warn(about image: ImageName, isRecording: Bool) {
    guard context.options.environment[RunEnvironment.imageVariable] != image.text,
      let run = read(image), !isOwn(run)
    else { return }
    let subject = "\(run.command) (process \(run.process.process))"
    switch run.state(context.fileSystem) {
    case .running:
      context.reporter.warn(
        "'imgstore run --host' has started \(subject), which still changes image \(image)")
    case .abandoned:
      context.reporter.warn(
        "\(subject) still changes image \(image), but the 'imgstore run --host' that started it was "
          + "killed: take a snapshot when it has ended")
    case .unrecorded:
      context.reporter.warn(
        "'imgstore run --host' was killed while it ran \(run.command): nothing recorded what that "
          + "changed in image \(image)")
      if isRecording { remove(image) }
    case .unknown: break
    }
  }

  /// Returns the text of a command that works on an image now; nil if there is none.
  func running(on image: ImageName) -> String? {
    guard let run = read(image), !isOwn(run) else { return nil }
    switch run.state(context.fileSystem) {
    case .running, .abandoned: return "\(run.command) (process \(run.process.process))"
    case .unrecorded, .unknown: return nil
    }
  }

  // MARK: The record

  private func isOwn(_ run: HostRun) -> Bool {
    run.starter.process == Int(getpid())
      && ProcessIdentity.current(context.fileSystem).knowsAlive(run.starter, context.fileSystem)
  }

  private func name(_ image: ImageName) -> [UInt8] {
    Array("host-run-\(context.cacheKey(image).shortHex)".utf8)
  }

  private func read(_ image: ImageName) -> HostRun? {
    guard let layout = try? context.storeIfPresent()?.layout else { return nil }
    return
      (try? layout.fileSystem.readSmallFile(
        at: layout.cache.raw, name(image), limitBytes: HostRuns.maxBytes)).flatMap { HostRun($0) }
  }

  private func remove(_ image: ImageName) {
    guard let layout = try? context.store().layout else { return }
    try? layout.fileSystem.remove(at: layout.cache.raw, name(image), isDirectory: false)
  }
}

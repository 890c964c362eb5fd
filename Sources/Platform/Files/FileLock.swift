// Locks between processes: `flock` on a file that is never removed, or open file description locks on
// single bytes of one, for sets of keys. The kernel releases a lock when its holder ends, however it
// ends. There are no stale locks and no timeouts of a clock.

import Glibc

/// The time to wait for a lock that another process holds.
public enum LockWait: Sendable, Equatable {
  case forever
  /// 0 does not wait at all.
  case atMost(seconds: Double)
  /// As long as the budget of the command has time left.
  case within(WaitBudget)
}

/// A lock that is held during the lifetime of this value.
public final class FileLock: Sendable {
  private let fileSystem: any FileSystem
  private let file: Descriptor

  private init(_ fileSystem: any FileSystem, _ file: Descriptor) {
    self.fileSystem = fileSystem
    self.file = file
  }

  deinit { fileSystem.unlock(file.raw) }

  /// Takes the lock `name` in `directory`, waiting if another process has it.
  /// - Parameter onWait: called once, before waiting.
  /// - Throws: `SystemError`; EBUSY if another process still has it after the time.
  public static func acquire(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8], exclusive: Bool,
    waiting: LockWait = .forever, onWait: () -> Void = {}
  ) throws(SystemError) -> FileLock {
    let file = try fileSystem.openFile(
      at: directory, name, [.readWrite, .create, .noFollow, .nonBlocking])
    var wait = Wait(waiting)
    try wait.until(name, onWait) { (mayWait) throws(SystemError) in
      try fileSystem.lock(file.raw, exclusive: exclusive, wait: mayWait)
    }
    return FileLock(fileSystem, file)
  }

  /// Waits up to the limit. The kernel has no lock with a time limit, so the lock is polled.
  private struct Wait {
    let limit: LockWait
    private var hasNotified = false
    private var deadline: Double?

    init(_ limit: LockWait) { self.limit = limit }

    mutating func until(
      _ name: [UInt8], _ onWait: () -> Void,
      _ take: (_ mayWait: Bool) throws(SystemError) -> Bool
    ) throws(SystemError) {
      if try take(false) { return }
      if !hasNotified {
        hasNotified = true
        let seconds = limit.maxSeconds
        if seconds != 0 { onWait() }
        deadline = seconds.map { monotonicSeconds() + $0 }
      }
      let start = monotonicSeconds()
      defer { limit.spend(monotonicSeconds() - start) }
      guard let deadline else {
        _ = try take(true)
        return
      }
      while monotonicSeconds() < deadline {
        usleep(50_000)
        if try take(false) { return }
      }
      throw SystemError(code: .busy, "lock", name)
    }
  }

  /// An element of a lock set: a byte of the file, and whether its lock is exclusive.
  public struct Key: Hashable, Sendable {
    public let byte: UInt64
    public let isExclusive: Bool
    /// Creates a key.
    public init(byte: UInt64, isExclusive: Bool) {
      self.byte = byte
      self.isExclusive = isExclusive
    }
  }

  /// Takes the locks of several keys in the file `name`, waiting if another process has one. The locks
  /// are taken in the order of their bytes, which excludes deadlocks.
  /// - Parameter onWait: called once, before waiting.
  /// - Throws: `SystemError`; EBUSY if another process still has one after the time.
  public static func acquire(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8], keys: [Key],
    waiting: LockWait = .forever, onWait: () -> Void = {}
  ) throws(SystemError) -> FileLock {
    let file = try fileSystem.openFile(
      at: directory, name, [.readWrite, .create, .noFollow, .nonBlocking])
    // Releases the bytes that are locked already, if another one cannot be.
    let lock = FileLock(fileSystem, file)
    var wait = Wait(waiting)
    for key in keys.sorted(by: { $0.byte < $1.byte }) {
      try wait.until(name, onWait) { (mayWait) throws(SystemError) in
        try fileSystem.lock(file.raw, byte: key.byte, exclusive: key.isExclusive, wait: mayWait)
      }
    }
    return lock
  }

  /// Takes the lock if it is free; returns nil otherwise.
  public static func acquireIfFree(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8], exclusive: Bool
  ) throws(SystemError) -> FileLock? {
    let file = try fileSystem.openFile(
      at: directory, name, [.readWrite, .create, .noFollow, .nonBlocking])
    guard try fileSystem.lock(file.raw, exclusive: exclusive, wait: false) else { return nil }
    return FileLock(fileSystem, file)
  }

  /// Takes the lock shared on a read-only descriptor of an existing file, and waits for it. For file
  /// systems that cannot be written.
  public static func acquireShared(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8]
  ) throws(SystemError) -> FileLock {
    let file = try fileSystem.openFile(at: directory, name, [.read, .noFollow, .nonBlocking])
    _ = try fileSystem.lock(file.raw, exclusive: false, wait: true)
    return FileLock(fileSystem, file)
  }

  /// Returns the holders of the lock, for messages: "process 1234 (imgstore export compute)". Empty if
  /// the kernel does not list them (`/proc/locks`).
  public static func holders(
    _ fileSystem: any FileSystem, at directory: Int32, _ name: [UInt8]
  ) -> [String] {
    func text(_ path: String) -> [UInt8] {
      (try? fileSystem.readSmallFile(at: fileSystem.workingDirectory, Array(path.utf8))) ?? []
    }
    guard let inode = try? fileSystem.statIfPresent(at: directory, name)?.inode else { return [] }
    // "1: FLOCK  ADVISORY  READ 1234 08:01:131 0 EOF"
    var holders: Set<String> = []
    for line in text("/proc/locks").split(separator: 0x0a) {
      let fields = line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
      guard fields.count >= 6, fields[1] == "FLOCK",
        fields[5].split(separator: ":").last.flatMap({ UInt64($0) }) == inode
      else { continue }
      let command = text("/proc/\(fields[4])/cmdline").split(separator: 0).prefix(4)
        .map { printable(Array($0)) }.joined(separator: " ")
      holders.insert("process \(fields[4])" + (command.isEmpty ? "" : " (\(command))"))
    }
    return holders.sorted()
  }
}

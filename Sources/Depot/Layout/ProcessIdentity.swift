// Identifies a process, so that its own host can tell later that the process has ended: the writer of an
// object of a depot, or a command that `imgstore run --host` started.
//
// A process is dead for certain if this host has not been restarted since, sees the same process ids, and has
// no such process, or another one with its number, or only its exit status. In all other cases nothing is
// known.

import Glibc
import Platform

/// Identifies a process of a host.
public struct ProcessIdentity: Sendable, Equatable {
  public var host: String
  /// `/proc/sys/kernel/random/boot_id`: changes when the host is restarted.
  var bootID: String
  /// The namespace of the process ids, `/proc/self/ns/pid`. Containers have their own.
  var namespace: String
  public var process: Int
  /// The start of the process after the boot, in clock ticks (proc(5), `starttime`).
  var startTicks: UInt64
  /// When the object was written, in seconds since 1970. For people only.
  public var started: Int64

  /// Returns the identity of a process of this host; nil for this one.
  public static func current(
    _ fileSystem: any FileSystem = KernelFileSystem.shared, of process: Int? = nil
  ) -> ProcessIdentity {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let host = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    let process = process ?? Int(getpid())
    return ProcessIdentity(
      host: printable(host), bootID: text(fileSystem, "/proc/sys/kernel/random/boot_id"),
      namespace: link(fileSystem, "/proc/self/ns/pid"), process: process,
      startTicks: startTicks(fileSystem, of: process) ?? 0,
      started: Int64(now().seconds))
  }

  /// Returns true if the process of `other` has certainly ended.
  package func knowsDead(
    _ other: ProcessIdentity, _ fileSystem: any FileSystem = KernelFileSystem.shared
  ) -> Bool {
    guard !bootID.isEmpty, !namespace.isEmpty, bootID == other.bootID,
      namespace == other.namespace, other.process > 0, other.startTicks > 0
    else { return false }
    if kill(pid_t(clamping: other.process), 0) != 0 { return errno == ESRCH }
    guard let ticks = ProcessIdentity.startTicks(fileSystem, of: other.process) else {
      return false
    }
    return ticks != other.startTicks || ProcessIdentity.isZombie(fileSystem, other.process)
  }

  /// Returns true if the process of `other` runs here for certain.
  package func knowsAlive(
    _ other: ProcessIdentity, _ fileSystem: any FileSystem = KernelFileSystem.shared
  ) -> Bool {
    bootID == other.bootID && namespace == other.namespace && other.startTicks > 0
      && ProcessIdentity.startTicks(fileSystem, of: other.process) == other.startTicks
      && !ProcessIdentity.isZombie(fileSystem, other.process)
  }

  /// Returns true if the host of `other` is this one, and was restarted since the process started.
  package func hasRestarted(since other: ProcessIdentity) -> Bool {
    host == other.host && !bootID.isEmpty && !other.bootID.isEmpty && bootID != other.bootID
  }

  // MARK: Text

  private static let title = "imgstore writer 1"

  /// The lines of an object in `writers/`.
  package var text: String {
    """
    \(ProcessIdentity.title)
    host \(host)
    boot \(bootID)
    namespace \(namespace)
    process \(process) \(startTicks)
    started \(started)

    """
  }

  /// Parses the text of an object. Lines of later versions are skipped.
  package init?(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first.map(String.init) == ProcessIdentity.title else { return nil }
    var values: [Substring: Substring] = [:]
    for line in lines.dropFirst() {
      guard let blank = line.firstIndex(of: " ") else { continue }
      values[line[..<blank]] = line[line.index(after: blank)...]
    }
    let numbers = values["process"]?.split(separator: " ") ?? []
    guard let host = values["host"], numbers.count == 2, let process = Int(numbers[0]),
      let startTicks = UInt64(numbers[1])
    else { return nil }
    self.init(
      host: printable(Array(host.utf8)), bootID: String(values["boot"] ?? ""),
      namespace: String(values["namespace"] ?? ""), process: process, startTicks: startTicks,
      started: values["started"].flatMap { Int64($0) } ?? 0)
  }

  package init(
    host: String, bootID: String, namespace: String, process: Int, startTicks: UInt64,
    started: Int64
  ) {
    (self.host, self.bootID, self.namespace) = (host, bootID, namespace)
    (self.process, self.startTicks, self.started) = (process, startTicks, started)
  }

  // MARK: /proc

  private static func text(_ fileSystem: any FileSystem, _ path: String) -> String {
    let bytes =
      (try? fileSystem.readSmallFile(at: fileSystem.workingDirectory, Array(path.utf8))) ?? []
    return String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
  }

  private static func link(_ fileSystem: any FileSystem, _ path: String) -> String {
    let target = try? fileSystem.readLink(at: fileSystem.workingDirectory, Array(path.utf8))
    return String(decoding: target ?? [], as: UTF8.self)
  }

  /// Returns the 22nd field of /proc/PID/stat.
  private static func startTicks(_ fileSystem: any FileSystem, of process: Int) -> UInt64? {
    let fields = status(fileSystem, of: process)
    return fields.count > 19 ? UInt64(fields[19]) : nil
  }

  /// Returns whether only the exit status of a process is left, for a parent that does not ask for it.
  private static func isZombie(_ fileSystem: any FileSystem, _ process: Int) -> Bool {
    ["Z", "X"].contains(status(fileSystem, of: process).first)
  }

  /// Returns the fields of /proc/PID/stat from the third one. The second, in parentheses, may contain blanks.
  private static func status(_ fileSystem: any FileSystem, of process: Int) -> [Substring] {
    let stat = text(fileSystem, "/proc/\(process)/stat")
    guard let end = stat.lastIndex(of: ")") else { return [] }
    return stat[stat.index(after: end)...].split(separator: " ")
  }
}

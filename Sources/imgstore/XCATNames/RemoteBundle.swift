// Copies bundles to and from other hosts with scp (`-R user@host`), as xCAT does.
//
// 1. The bundle passes through a temporary file that no other user can read.
// 2. The file is removed however the command ends.

import FoundationEssentials
import Glibc
import Images
import Platform
import XCAT

/// The failure of a copy with scp.
struct TransferError: ExplainedError {
  let remote: RemoteFile
  let isSending: Bool
  let cause: String
  var subject: String { remote.text }
  var reason: String { "cannot be \(isSending ? "written" : "read") by scp: \(cause)" }
  var hint: String {
    "Try 'ssh \(remote.host) true', which must work without a password; the messages of scp are above"
  }
}

/// Copies bundles with scp.
enum RemoteBundle {
  /// Writes a bundle to a temporary file, and copies it to `remote`.
  /// - Throws: `TransferError`, or an error of `write`.
  static func send<R>(
    _ workspace: Workspace, to remote: RemoteFile, write: (String) throws -> R,
    beforeCopy: (R) -> Void
  ) throws -> R {
    try withPrivateDirectory(workspace, "imgexport") { directory in
      let file = directory + "/bundle.tgz"
      let result = try write(file)
      beforeCopy(result)
      try copy(file, remote.text, remote, isSending: true)
      return result
    }
  }

  /// Copies a bundle to a temporary file, and passes its path to `read`.
  /// - Throws: `TransferError`, or an error of `read`.
  static func fetch<R>(
    _ workspace: Workspace, _ remote: RemoteFile, read: (String) throws -> R
  ) throws -> R {
    try withPrivateDirectory(workspace, "imgimport") { directory in
      let name = remote.path.split(separator: "/").last.map(String.init) ?? "bundle"
      let file = directory + "/" + name
      try copy(remote.text, file, remote, isSending: false)
      return try read(file)
    }
  }

  private static func copy(
    _ from: String, _ to: String, _ remote: RemoteFile, isSending: Bool
  ) throws {
    let cause: String
    do throws(SystemError) {
      let result = try ChildProcess.run(
        Array(scp().utf8), ["-B", "--", from, to],
        environment: ChildProcess.environment(for: .ssh, of: processEnvironment()))
      if result.status == 0 { return }
      for line in result.errors.split(separator: 0x0a) {
        Terminal.say(String(decoding: line, as: UTF8.self))
      }
      cause = "it exited with code \(result.status)"
    } catch {
      cause = "it cannot be started (\(error.code))"
    }
    throw TransferError(remote: remote, isSending: isSending, cause: cause)
  }

  /// Returns the path of the first scp in PATH.
  private static func scp() -> String {
    let directories = (environment("PATH") ?? "/usr/bin:/bin").split(separator: ":")
    return directories.map { "\($0)/scp" }.first { access($0, X_OK) == 0 } ?? "/usr/bin/scp"
  }

  /// Calls `body` with a private directory for one file, in site.tmpdir or the working directory, and removes
  /// it with its files afterwards.
  private static func withPrivateDirectory<R>(
    _ workspace: Workspace, _ prefix: String, _ body: (String) throws -> R
  ) throws -> R {
    let parent = try workspace.temporaryDirectory() ?? workingDirectory()
    let path = "\(parent)/\(prefix).\(randomName())"
    let files = KernelFileSystem.shared
    try files.makeDirectory(at: files.workingDirectory, Array(path.utf8), mode: 0o700)
    let cleanUp: @Sendable () -> Void = {
      let files = KernelFileSystem.shared
      if let directory = try? files.openDirectory(at: files.workingDirectory, Array(path.utf8)) {
        for name in (try? files.names(of: directory.raw)) ?? [] {
          try? files.remove(at: directory.raw, name, isDirectory: false)
        }
      }
      try? files.remove(at: files.workingDirectory, Array(path.utf8), isDirectory: true)
    }
    defer { cleanUp() }
    return try Interruption.cleaningUp(cleanUp) { try body(path) }
  }
}

/// Returns the working directory of the command.
func workingDirectory() -> String {
  guard let raw = getcwd(nil, 0) else { return "." }
  defer { free(raw) }
  return String(cString: raw)
}

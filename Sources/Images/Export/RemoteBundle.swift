// Copies bundles to and from other hosts with scp (`-R user@host`), as xCAT does.
//
// 1. The bundle passes through a temporary file that no other user can read.
// 2. The file is removed however the command ends.

import Platform
import XCAT

/// The failure of a copy with scp.
public struct BundleCopyError: ExplainedError {
  let remote: RemoteFile
  let isSending: Bool
  let cause: String
  public var subject: String { remote.text }
  public var reason: String { "cannot be \(isSending ? "written" : "read") by scp: \(cause)" }
  public var hint: String {
    "Try 'ssh \(remote.host) true', which must work without a password; the messages of scp are above"
  }
}

/// Copies bundles with scp.
public struct RemoteBundle {
  private let workspace: Workspace
  private let environment: [String: String]
  private let files: any FileSystem
  /// Receives the messages of scp.
  private let say: (String) -> Void

  public init(_ workspace: Workspace, say: @escaping (String) -> Void) {
    self.workspace = workspace
    self.say = say
    environment = workspace.options.environment
    files = workspace.context.fileSystem
  }

  /// Writes a bundle to a temporary file, and copies it to `remote`.
  /// - Throws: `BundleCopyError`, or an error of `write`.
  public func send<R>(
    to remote: RemoteFile, write: (String) throws -> R, beforeCopy: (R) -> Void
  ) throws -> R {
    try withPrivateDirectory("imgexport") { directory in
      let file = directory + "/bundle.tgz"
      let result = try write(file)
      beforeCopy(result)
      try copy(file, remote.text, remote, isSending: true)
      return result
    }
  }

  /// Copies a bundle to a temporary file, and passes its path to `read`.
  /// - Throws: `BundleCopyError`, or an error of `read`.
  public func fetch<R>(_ remote: RemoteFile, read: (String) throws -> R) throws -> R {
    try withPrivateDirectory("imgimport") { directory in
      let name = remote.path.split(separator: "/").last.map(String.init) ?? "bundle"
      let file = directory + "/" + name
      try copy(remote.text, file, remote, isSending: false)
      return try read(file)
    }
  }

  private func copy(
    _ from: String, _ to: String, _ remote: RemoteFile, isSending: Bool
  ) throws(BundleCopyError) {
    let cause: String
    do throws(SystemError) {
      let result = try ChildProcess.run(
        scp, ["-B", "--", from, to],
        environment: ChildProcess.environment(for: .ssh, of: environment))
      if result.status == 0 { return }
      for line in result.errors.split(separator: 0x0a) {
        say(String(decoding: line, as: UTF8.self))
      }
      cause = "it exited with code \(result.status)"
    } catch {
      cause = "it cannot be started (\(error.code))"
    }
    throw BundleCopyError(remote: remote, isSending: isSending, cause: cause)
  }

  /// The path of the first scp in PATH.
  private var scp: [UInt8] {
    let path = environment["PATH"].flatMap { $0.isEmpty ? nil : $0 } ?? "/usr/bin:/bin"
    return findProgram("scp", ["PATH": path], files) ?? Array("/usr/bin/scp".utf8)
  }

  /// Calls `body` with a private directory for one file, in site.tmpdir or the working directory, and removes
  /// it with its files afterwards.
  private func withPrivateDirectory<R>(
    _ prefix: String, _ body: (String) throws -> R
  ) throws -> R {
    let parent = try workspace.temporaryDirectory() ?? workingDirectory()
    let path = "\(parent)/\(prefix).\(randomName())"
    let files = files
    try files.makeDirectory(at: files.workingDirectory, Array(path.utf8), mode: 0o700)
    let cleanUp: @Sendable () -> Void = {
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

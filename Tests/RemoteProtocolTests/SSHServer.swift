// An ssh server of the tests (Tests/SSH/sshd.sh), and connections through it to the real program.

import Foundation
import Platform
import RemoteProtocol
import Store
import TestSupport
import Testing
import Transfer

/// Whether an ssh server can be started here.
let canRunSSH: Bool = {
  guard !TestSelection.isFast else { return false }
  let manager = FileManager.default
  return manager.isExecutableFile(atPath: "/usr/sbin/sshd")
    && manager.isExecutableFile(atPath: "/usr/bin/ssh") && manager.isExecutableFile(atPath: binary)
}()

/// A running ssh server.
final class SSHServer: Sendable {
  let directory: TemporaryDirectory
  let port: Int

  init() throws {
    directory = try TemporaryDirectory()
    let result = try run(SSHServer.script, "start", directory.path("ssh"))
    port = try #require(
      Int(result.output.trimmingCharacters(in: .whitespacesAndNewlines)), "\(result.errors)")
  }

  deinit { _ = try? run(SSHServer.script, "stop", directory.path("ssh")) }

  private static let script = packageRoot + "/Tests/SSH/sshd.sh"

  func path(_ name: String) -> String { directory.path("ssh/\(name)") }

  /// Sets what the client's key may do: options of authorized_keys(5), such as a forced command.
  func authorize(_ options: String) throws {
    let key = try String(contentsOfFile: path("client.pub"), encoding: .utf8)
    try (options + " " + key).write(
      toFile: path("authorized_keys"), atomically: true, encoding: .utf8)
  }

  /// Limits the client's key to the server of a store, as the manual shows.
  func force(_ arguments: String) throws {
    try authorize("restrict,command=\"\(binary) serve --stdio \(arguments)\"")
  }

  /// Ends the processes of the connections, not the server.
  func killConnections() throws { try shell("pkill -KILL -P \"$(cat \"$1\")\"", path("pid")) }

  /// Connects as `push` and `pull` do.
  func connect(
    path: String = "", ssh: String? = nil, greeting: Greeting = testGreeting, port: Int? = nil,
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> RemoteClient {
    try SSHServer.connect(
      "ssh://127.0.0.1:\(port ?? self.port)\(path)", ssh: ssh ?? self.path("ssh"),
      greeting: greeting, report: report)
  }

  /// Connects with another program than ssh.
  static func connect(
    _ url: String, ssh: String, greeting: Greeting = testGreeting,
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> RemoteClient {
    var environment = ProcessInfo.processInfo.environment
    environment[SSHTransport.programVariable] = ssh
    guard case .ssh(let address) = try RemoteURL(url) else { throw TestFailure("not ssh: \(url)") }
    return try SSHTransport(
      address, client: testIdentity, environment: environment, hasTerminal: false, report: report
    ).connect(greeting: greeting, limits: limits)
  }

  private static var limits: StreamLimits {
    var limits = StreamLimits()
    limits.silenceSeconds = 30
    return limits
  }
}

/// Writes a shell script that stands for ssh.
///
/// Another process writes it: a program that this process starts meanwhile would inherit the open file, and the
/// script could not be executed (ETXTBSY).
func fakeSSH(_ directory: TemporaryDirectory, _ lines: String) throws -> String {
  let path = directory.path("fake-ssh-\(randomName())")
  try shell("printf '%s' \"$2\" >\"$1\"; chmod 755 \"$1\"", path, "#!/bin/sh\n" + lines + "\n")
  return path
}

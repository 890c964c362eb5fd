// A connection through ssh: the program on the other side is `imgstore serve --stdio`.
//
// 1. No shell runs here, and the command for the other side is a constant: no name becomes part of it. The path of
//    the store is in the first message.
// 2. ssh never asks for a password where nobody can type one, and notices that the other host has gone.
// 3. What ssh and the other side print to standard error is shown as printable text, with the remote's name.

import Platform
import Transfer

/// Starts ssh.
public struct SSHTransport: Sendable {
  /// The command of the other side. A forced command replaces it.
  static let remoteCommand = "imgstore serve --stdio"
  /// The variable that names another program than ssh.
  public static let programVariable = "IMGSTORE_SSH"

  private let address: SSHAddress
  private let client: ClientIdentity
  private let environment: [String: String]
  private let hasTerminal: Bool
  private let report: @Sendable (String) -> Void

  /// Creates a transport.
  /// - Parameters:
  ///   - client: who this client is.
  ///   - environment: the environment of ssh, and the source of PATH and IMGSTORE_SSH.
  ///   - hasTerminal: whether somebody can answer a question of ssh.
  ///   - report: receives lines of standard error.
  public init(
    _ address: SSHAddress, client: ClientIdentity, environment: [String: String],
    hasTerminal: Bool,
    report: @escaping @Sendable (String) -> Void
  ) {
    self.address = address
    self.client = client
    self.environment = environment
    self.hasTerminal = hasTerminal
    self.report = report
  }

  /// Returns ssh's arguments.
  var arguments: [String] {
    // A master connection would outlive this one, and keep it from ending.
    var arguments = [
      "-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "-o", "Compression=no",
      "-o", "ControlMaster=no",
      "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
    ]
    if !hasTerminal { arguments += ["-o", "BatchMode=yes"] }
    if let port = address.port { arguments += ["-p", "\(port)"] }
    let target = address.user.map { "\($0)@\(address.host)" } ?? address.host
    return arguments + ["--", target, SSHTransport.remoteCommand]
  }

  /// Connects to the store.
  /// - Parameter greeting: this program's.
  /// - Throws: see `RemoteClient`.
  public func connect(
    greeting: Greeting, limits: StreamLimits = StreamLimits()
  ) throws -> RemoteClient {
    let name = self.name
    let report = report
    let process: StreamedProcess
    do {
      process = try StreamedProcess(try program(), arguments, environment: environment) { line in
        report("\(name): \(line)")
      }
    } catch let error as SystemError {
      throw TransferError(
        .remoteUnavailable, name, "cannot be reached, because ssh cannot be started: \(error)")
    }
    let transport = RemoteClient.Transport(process.stream) {
      let end = process.wait(seconds: 5)
      return SSHFailure(status: end.status, errors: end.errors).error(at: name)
    }
    return try RemoteClient(
      transport, store: Array((address.store ?? "").utf8), name: name, client: client,
      greeting: greeting, limits: limits)
  }

  private var name: String { "\(RemoteURL.ssh(address))" }

  private func program() throws(TransferError) -> [UInt8] {
    if let program = environment[SSHTransport.programVariable], !program.isEmpty {
      if program.hasPrefix("/") { return Array(program.utf8) }
      throw TransferError(
        .usage, SSHTransport.programVariable,
        "is '\(printable(Array(program.utf8)))', not an absolute path")
    }
    guard let program = findProgram("ssh", environment, KernelFileSystem.shared) else {
      throw TransferError(
        .remoteUnavailable, name, "cannot be reached: there is no program ssh in PATH",
        hint: "Install the OpenSSH client")
    }
    return program
  }
}

/// The reason why ssh, or the command that it started, ended.
struct SSHFailure {
  let status: Int32
  let errors: [String]

  /// Returns the error; nil if the status says nothing.
  func error(at name: String) -> TransferError? {
    switch status {
    case 255: connectionError(name)
    case 127:
      TransferError(
        .remoteUnsuitable, name, "has no program imgstore in the PATH of the account",
        hint: "Install imgstore there, or let a forced command of authorized_keys name its path")
    case 126:
      TransferError(
        .remoteUnsuitable, name, "cannot run the program imgstore: \(last)",
        hint: "Check the program's mode and the file system there")
    default: nil
    }
  }

  private var last: String { errors.last ?? "ssh printed no reason" }

  private func connectionError(_ name: String) -> TransferError {
    func contains(_ text: String) -> Bool { errors.contains { $0.contains(text) } }
    if contains("Host key verification failed") || contains("HOST IDENTIFICATION HAS CHANGED") {
      return TransferError(
        .remoteUnavailable, name,
        "has a host key that ssh does not know, or another one than before",
        hint: "Log in once with ssh and compare the key with the one of that host")
    }
    if contains("Permission denied") || contains("Too many authentication failures") {
      return TransferError(
        .remoteDenied, name, "does not accept the keys of this user: \(last)",
        hint: "Add the public key to authorized_keys there")
    }
    let reasons = [
      ("Could not resolve hostname", "has a name that cannot be resolved"),
      ("No route to host", "cannot be reached: there is no route to the host"),
      ("Connection refused", "refuses connections: no ssh server listens on that port"),
      ("Connection timed out", "did not answer in time"),
      ("Network is unreachable", "cannot be reached: the network is unreachable"),
    ]
    for (text, reason) in reasons where contains(text) {
      return TransferError(
        .remoteUnavailable, name, reason, hint: "Check the address, and that 'ssh' reaches the host"
      )
    }
    return TransferError(
      .remoteUnavailable, name, "ended the connection: \(last)",
      hint: "Run the command again. Complete packs are not sent again")
  }
}

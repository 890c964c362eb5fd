// A file on another machine, as an argument for scp (`-R user@host`).
//
// No shell runs on this side. The other side may run one: scp before OpenSSH 9.0, or with -O, passes
// the path to the login shell there. A host therefore consists of characters of host names and is
// never an option, and a path has no characters that a shell would interpret.

/// `user@host:path`, checked to be harmless.
public struct RemoteFile: Sendable, Equatable {
  public let host: String
  /// The path, relative to the user's home directory there.
  public let path: String
  /// The argument for scp.
  public var text: String { "\(host):\(path)" }

  /// Checks a host and a path.
  /// - Throws: `XCATError` for a host or path that scp, ssh or a shell would interpret otherwise.
  public init(host: String, path: String) throws(XCATError) {
    guard RemoteFile.isHost(host) else {
      throw XCATError(
        "host '\(host)'", "is not [user@]host",
        hint: "Use letters, digits, '.', '_' and '-', and put an IPv6 address in brackets")
    }
    guard !path.isEmpty, path.utf8.first != 0x2d, path.utf8.allSatisfy(RemoteFile.isPathByte) else {
      throw XCATError(
        "remote path '\(path)'", "contains a character that a shell on \(host) might interpret",
        hint: "Use letters, digits and '/._-+=,@%:~' there, and rename the file on that host")
    }
    // scp takes "scp://…" for a URI with another host.
    guard !(path.hasPrefix("//") && ["scp", "ssh", "sftp"].contains(host.lowercased())) else {
      throw XCATError(
        "remote file '\(host):\(path)'", "reads as a URI",
        hint: "Begin the path with one '/', or name the host with its user or domain")
    }
    self.host = host
    self.path = path
  }

  private static func isHost(_ text: String) -> Bool {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard let host = parts.last, parts.count <= 2 else { return false }
    if parts.count == 2, !isName(parts[0]) { return false }
    guard host.hasPrefix("[") else { return isName(host) }
    let inside = host.dropFirst().dropLast()
    return host.hasSuffix("]") && !inside.isEmpty
      && inside.utf8.allSatisfy { isWordByte($0) || $0 == 0x3a || $0 == 0x25 || $0 == 0x2e }
  }

  private static func isName(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.first != 0x2d
      && text.utf8.allSatisfy { isWordByte($0) || $0 == 0x2e || $0 == 0x2d }
  }

  private static func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f: true
    default: false
    }
  }

  private static func isPathByte(_ byte: UInt8) -> Bool {
    isWordByte(byte) || byte >= 0x80 || "/.-+=,@%:~".utf8.contains(byte)
  }
}

// A file on another machine, as scp is told of it (`-R user@host`).
//
// No shell runs on this side. On the other one it may: scp before OpenSSH 9.0, or with -O, hands the
// path to the login shell there. So a host is only what host names are made of, never an option,
// and a path holds nothing that a shell would act on.

/// `user@host:path`, proved harmless.
public struct RemoteFile: Sendable, Equatable {
  public let host: String
  /// Relative to the user's home folder there.
  public let path: String
  public var text: String { "\(host):\(path)" }

  /// - Throws: `XCATError` for a host or path that scp, ssh or a shell would take for more than that.
  public init(host: String, path: String) throws(XCATError) {
    guard RemoteFile.isHost(host) else {
      throw XCATError(
        "host '\(host)'", "is no [user@]host",
        advice: "Letters, digits, '.', '_' and '-' make a host; an IPv6 address stands in brackets")
    }
    guard !path.isEmpty, path.utf8.first != 0x2d, path.utf8.allSatisfy(RemoteFile.isPathByte) else {
      throw XCATError(
        "remote path '\(path)'", "holds what a shell on \(host) might act on",
        advice: "Use letters, digits and '/._-+=,@%:~' there, and rename the file at its place")
    }
    // scp takes "scp://…" for a URI, whose host is another one.
    guard !(path.hasPrefix("//") && ["scp", "ssh", "sftp"].contains(host.lowercased())) else {
      throw XCATError(
        "remote file '\(host):\(path)'", "reads as a URI",
        advice: "Let the path begin with one '/', or name the host with its user or domain")
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

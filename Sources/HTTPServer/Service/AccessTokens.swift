// Tokens of clients.
//
//     # one token a line, with an optional name after it
//     9f2c6e0b7c0a4d8e  monitoring
//
// 1. The file belongs to root or to the user of the server, and only its owner and its group can read it.
// 2. A token is compared by its SHA-256, and with every token of the file: the time that this takes says nothing
//    about a token.

import Codec
import Platform

/// The tokens that the server accepts.
public struct AccessTokens: Sendable {
  private let digests: [[UInt8]]

  /// The number of tokens.
  public var count: Int { digests.count }

  /// The fewest characters of a token.
  public static let minCharacters = 16

  /// Reads the tokens of a file.
  /// - Throws: `ServerError` if the file has none, or others can read or change it; `SystemError`.
  public init(path: String, _ fileSystem: any FileSystem = KernelFileSystem.shared) throws {
    let file = try fileSystem.openFile(
      at: fileSystem.workingDirectory, Array(path.utf8), [.read, .nonBlocking])
    let stat = try fileSystem.stat(file.raw)
    let name = "token file \(printable(path.utf8))"
    guard stat.kind == .file else { throw ServerError(name, "is not a regular file") }
    guard stat.mode & 0o027 == 0 else {
      throw ServerError(
        .accessDenied, name, "can be read by all users, or changed by its group",
        hint: "Run 'chmod 600 \(shellQuoted(path))'")
    }
    try self.init(parsing: try AccessTokens.read(file, fileSystem, name), name)
  }

  /// Parses the content of a token file.
  /// - Throws: `ServerError` for an invalid line, or if there is no token.
  public init(parsing bytes: [UInt8], _ name: String = "token file") throws(ServerError) {
    var digests: [[UInt8]] = []
    for (index, line) in bytes.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated()
    {
      guard
        let token = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }).first,
        token.first != 0x23
      else { continue }
      guard token.count >= AccessTokens.minCharacters,
        token.allSatisfy({ (0x21...0x7e).contains($0) })
      else {
        throw ServerError(
          name,
          "has an invalid token in line \(index + 1): tokens have at least \(AccessTokens.minCharacters) visible ASCII characters",
          hint: "Make one with 'openssl rand -hex 24'")
      }
      digests.append(SHA256.digest(of: Array(token)).bytes)
    }
    guard !digests.isEmpty else {
      throw ServerError(name, "has no token", hint: "Make one with 'openssl rand -hex 24'")
    }
    self.digests = digests
  }

  private static func read(
    _ file: Descriptor, _ fileSystem: any FileSystem, _ name: String
  ) throws -> [UInt8] {
    let limit = 1 << 20
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = try buffer.withUnsafeMutableBytes { try fileSystem.read(file.raw, into: $0) }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else { throw ServerError(name, "has more than \(limit) bytes") }
    }
  }

  /// Returns whether a token is accepted.
  public func accepts(_ token: [UInt8]) -> Bool {
    let digest = SHA256.digest(of: token).bytes
    var isAccepted = false
    for known in digests {
      var difference: UInt8 = 0
      for index in known.indices { difference |= known[index] ^ digest[index] }
      if difference == 0 { isAccepted = true }
    }
    return isAccepted
  }

  /// Returns whether the Authorization field has an accepted token: as Bearer (RFC 6750), or as the password of
  /// Basic (RFC 7617), which browsers ask for.
  func accepts(_ headers: [(name: String, value: String)]) -> Bool {
    let values = headers.filter { $0.name == "authorization" }.map(\.value)
    guard values.count == 1 else { return false }
    let words = values[0].split(separator: " ", omittingEmptySubsequences: true)
    guard words.count == 2 else { return false }
    switch asciiLowercased(words[0]) {
    case "bearer": return accepts(Array(words[1].utf8))
    case "basic":
      guard let pair = Base64.decode(words[1].utf8), let colon = pair.firstIndex(of: 0x3a) else {
        return false
      }
      return accepts(Array(pair[(colon + 1)...]))
    default: return false
    }
  }
}

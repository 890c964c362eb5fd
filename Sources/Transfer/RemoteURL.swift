// The addresses of remotes.

import Platform

/// The host, and the store on it, of an `ssh://` remote.
public struct SSHAddress: Sendable, Equatable {
  public var user: String?
  public var host: String
  public var port: UInt16?
  /// The absolute path of the store there; nil for the far side's own default.
  public var store: String?
}

/// A parsed address of a remote.
public enum RemoteURL: Sendable, Equatable {
  /// A store in a directory of this machine, by its absolute path.
  case path(String)
  case ssh(SSHAddress)
  /// A depot: a bucket, and a prefix that does not start or end with a slash.
  case s3(bucket: String, prefix: String)

  /// Parses an address.
  /// - Throws: `TransferError` (`usage`) for another form.
  public init(_ text: String) throws(TransferError) {
    guard text.utf8.count <= 4096, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
      throw RemoteURL.invalid(text, "contains control characters, or is too long")
    }
    if text.hasPrefix("/") {
      self = .path(try RemoteURL.directory(text, of: text))
    } else if let rest = RemoteURL.rest(of: text, after: "file://") {
      self = .path(try RemoteURL.directory(RemoteURL.decoded(rest, of: text), of: text))
    } else if let rest = RemoteURL.rest(of: text, after: "ssh://") {
      self = .ssh(try RemoteURL.ssh(rest, of: text))
    } else if let rest = RemoteURL.rest(of: text, after: "s3://") {
      self = try RemoteURL.bucket(rest, of: text)
    } else {
      throw RemoteURL.invalid(text, "is not the address of a remote")
    }
  }

  private static func rest(of text: String, after scheme: String) -> Substring? {
    text.lowercased().hasPrefix(scheme) ? text.dropFirst(scheme.count) : nil
  }

  private static func directory(
    _ path: String, of text: String
  ) throws(TransferError) -> String {
    guard let path = AbsolutePath(path), !path.isRoot else {
      throw invalid(text, "does not name a directory by its absolute path")
    }
    return path.text
  }

  private static func ssh(_ rest: Substring, of text: String) throws(TransferError) -> SSHAddress {
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    var authority = rest[..<slash]
    let path = rest[slash...]
    var address = SSHAddress(host: "")
    if let at = authority.lastIndex(of: "@") {
      let user = try decoded(authority[..<at], of: text)
      guard isWord(user), !user.contains(":") else {
        throw invalid(
          text, user.contains(":") ? "contains a password" : "has an invalid user name")
      }
      address.user = user
      authority = authority[authority.index(after: at)...]
    }
    var port: Substring?
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
      address.host = String(authority[authority.index(after: authority.startIndex)..<end])
      let after = authority[authority.index(after: end)...]
      guard after.isEmpty || after.hasPrefix(":") else {
        throw invalid(text, "has an invalid host")
      }
      port = after.isEmpty ? nil : after.dropFirst()
    } else if let colon = authority.firstIndex(of: ":") {
      address.host = String(authority[..<colon])
      port = authority[authority.index(after: colon)...]
    } else {
      address.host = String(authority)
    }
    guard isWord(address.host) else { throw invalid(text, "has an invalid host") }
    if let port {
      guard let number = UInt16(port), number > 0 else {
        throw invalid(text, "has an invalid port")
      }
      address.port = number
    }
    if path.utf8.count > 1 { address.store = try directory(decoded(path, of: text), of: text) }
    return address
  }

  /// Whether ssh cannot take the text for an option, and no shell sees special characters in it.
  private static func isWord(_ text: String) -> Bool {
    !text.isEmpty && !text.hasPrefix("-")
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
          || "-_.:".utf8.contains($0)
      }
  }

  private static func bucket(_ rest: Substring, of text: String) throws(TransferError) -> RemoteURL
  {
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let bucket = rest[..<slash]
    var prefix = rest[slash...]
    while prefix.hasPrefix("/") { prefix = prefix.dropFirst() }
    while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
    // The rules of AWS, with the underscores and capitals that other services allow.
    let isBucket =
      (3...255).contains(bucket.utf8.count)
      && bucket.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
          || "-_.".utf8.contains($0)
      }
    guard isBucket, !bucket.contains(".."), bucket.first != ".", bucket.first != "-" else {
      throw invalid(text, "has an invalid bucket name")
    }
    let isPrefix = prefix.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
      $0 != "." && $0 != ".." && !$0.isEmpty && isWord(String($0))
    }
    guard prefix.isEmpty || (isPrefix && prefix.utf8.count <= 300) else {
      throw invalid(text, "has an invalid prefix")
    }
    return .s3(bucket: String(bucket), prefix: String(prefix))
  }

  /// Replaces %XX by the byte.
  private static func decoded(
    _ text: Substring, of whole: String
  ) throws(TransferError) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap({ hexValue($0) }),
        let low = rest.popFirst().flatMap({ hexValue($0) })
      else { throw invalid(whole, "has an invalid %XX") }
      bytes.append(high << 4 | low)
    }
    guard let result = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw invalid(whole, "has an invalid %XX")
    }
    return result
  }

  private static func invalid(_ text: String, _ reason: String) -> TransferError {
    TransferError(
      .usage, "remote address '\(printable(text.utf8))'", reason,
      hint: "Write /PATH, ssh://[USER@]HOST[:PORT][/STORE] or s3://BUCKET[/PREFIX]")
  }
}

extension RemoteURL: CustomStringConvertible {
  public var description: String {
    switch self {
    case .path(let path): return path
    case .ssh(let address):
      let host = address.host.contains(":") ? "[\(address.host)]" : address.host
      return "ssh://" + (address.user.map { $0 + "@" } ?? "") + host
        + (address.port.map { ":\($0)" } ?? "") + (address.store ?? "")
    case .s3(let bucket, let prefix): return "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)")
    }
  }
}

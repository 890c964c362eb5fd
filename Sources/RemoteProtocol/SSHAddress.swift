// ssh://[user@]host[:port][/store]
//
// 1. No part of an address can be an option of ssh, or anything but a name to a shell or to a ProxyCommand: only
//    letters, digits and a few signs are accepted, and no part starts with "-".
// 2. An address contains no password: ssh asks for it, or uses keys.

import Platform
import Transfer

/// The address of a store on another host.
public struct SSHAddress: Sendable, Equatable {
  /// The user there; nil for ssh's own choice.
  public let user: String?
  /// A name, or an address of IPv4 or IPv6 without brackets.
  public let host: String
  /// The port; nil for ssh's own choice.
  public let port: Int?
  /// The path of the store there; empty for that of the account.
  public let store: [UInt8]

  public static let scheme = "ssh://"
  private static let maxPartBytes = 255

  /// Parses an address.
  /// - Throws: `usage`, with the part that is not valid.
  public init(_ text: String) throws(TransferError) {
    guard text.hasPrefix(SSHAddress.scheme) else {
      throw SSHAddress.invalid(text, "does not start with ssh://")
    }
    var rest = Array(text.utf8.dropFirst(SSHAddress.scheme.utf8.count))
    let path = rest.firstIndex(of: 0x2f).map { Array(rest[$0...]) } ?? []
    rest = Array(rest.prefix { $0 != 0x2f })
    guard let store = SSHAddress.unescaped(path), !store.contains(0), store.count <= 4096 else {
      throw SSHAddress.invalid(text, "has a path that is not valid")
    }
    self.store = store == [0x2f] ? [] : store
    if let at = rest.lastIndex(of: 0x40) {
      let name = rest[..<at]
      guard !name.contains(0x3a) else {
        throw SSHAddress.invalid(
          "ssh://…", "contains a password",
          hint: "Use a key of ssh, or let ssh ask for the password")
      }
      guard SSHAddress.isPlain(name, "._-+@") else {
        throw SSHAddress.invalid(text, "has a name of a user that is not valid")
      }
      user = String(decoding: name, as: UTF8.self)
      rest = Array(rest[(at + 1)...])
    } else {
      user = nil
    }
    (host, port) = try SSHAddress.hostAndPort(rest, text)
  }

  private static func hostAndPort(
    _ bytes: [UInt8], _ text: String
  ) throws(TransferError) -> (String, Int?) {
    var host = bytes[...]
    var port: ArraySlice<UInt8>?
    if bytes.first == 0x5b {  // "["
      guard let end = bytes.firstIndex(of: 0x5d) else {
        throw invalid(text, "has an address without its closing bracket")
      }
      host = bytes[1..<end]
      let rest = bytes[(end + 1)...]
      guard rest.isEmpty || rest.first == 0x3a, isPlain(host, ".:%") else {
        throw invalid(text, "has a host that is not valid")
      }
      if !rest.isEmpty { port = rest.dropFirst() }
    } else {
      if let colon = bytes.firstIndex(of: 0x3a) {
        host = bytes[..<colon]
        port = bytes[(colon + 1)...]
      }
      guard isPlain(host, "._-") else { throw invalid(text, "has a host that is not valid") }
    }
    let name = String(decoding: host, as: UTF8.self)
    guard let port else { return (name, nil) }
    guard port.count <= 5, port.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = Int(String(decoding: port, as: UTF8.self)), (1...65535).contains(number)
    else { throw invalid(text, "has a port that is not valid") }
    return (name, number)
  }

  /// The address as text, without "/" for the store of the account.
  public var text: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return SSHAddress.scheme + (user.map { "\($0)@" } ?? "") + name
      + (port.map { ":\($0)" } ?? "") + printable(store)
  }

  private static func isPlain(_ bytes: some Collection<UInt8>, _ signs: String) -> Bool {
    guard !bytes.isEmpty, bytes.count <= maxPartBytes, bytes.first != 0x2d else { return false }
    return bytes.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      default: signs.utf8.contains(byte)
      }
    }
  }

  /// Decodes "%XX"; nil for another "%".
  private static func unescaped(_ bytes: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.popFirst() {
      guard byte == 0x25 else {
        result.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexValue),
        let low = rest.popFirst().flatMap(hexValue)
      else { return nil }
      result.append(high << 4 | low)
    }
    return result
  }

  private static func invalid(
    _ text: String, _ reason: String, hint: String = "Write ssh://[user@]host[:port][/path]"
  ) -> TransferError {
    TransferError(.usage, "'\(printable(Array(text.utf8)))'", reason, hint: hint)
  }
}

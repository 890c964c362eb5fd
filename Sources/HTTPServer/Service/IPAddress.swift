// Literal addresses (inet_pton(3)), and those of bound sockets.

import Glibc

enum IPAddress {
  static func isIPv4(_ text: String) -> Bool {
    var address = in_addr()
    return inet_pton(AF_INET, text, &address) == 1
  }

  static func isIPv6(_ text: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, text, &address) == 1
  }

  /// Whether an address is one of this machine only: 127.0.0.0/8 or ::1.
  static func isLoopback(_ text: String) -> Bool {
    var address = in_addr()
    if inet_pton(AF_INET, text, &address) == 1 { return address.s_addr & 0xff == 127 }
    var long = in6_addr()
    guard inet_pton(AF_INET6, text, &long) == 1 else { return false }
    return withUnsafeBytes(of: &long) { bytes in
      bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }
  }

  /// Whether only this machine can connect to a bound socket.
  static func isLocal(_ socket: Int32) -> Bool {
    guard let (family, address) = bound(socket) else { return false }
    return family == AF_UNIX || isLoopback(address)
  }

  /// Returns the family and the address of a bound socket; nil for other files.
  private static func bound(_ socket: Int32) -> (family: Int32, address: String)? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
    }
    guard result == 0 else { return nil }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN) + 1)
    let family = Int32(storage.ss_family)
    let isKnown = withUnsafePointer(to: &storage) { pointer -> Bool in
      switch family {
      case AF_UNIX: true
      case AF_INET:
        pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
          var ip = address.pointee.sin_addr
          return inet_ntop(AF_INET, &ip, &text, socklen_t(text.count)) != nil
        }
      case AF_INET6:
        pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
          var ip = address.pointee.sin6_addr
          return inet_ntop(AF_INET6, &ip, &text, socklen_t(text.count)) != nil
        }
      default: false
      }
    }
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return isKnown ? (family, String(decoding: bytes, as: UTF8.self)) : nil
  }
}

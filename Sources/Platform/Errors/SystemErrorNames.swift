// The words for an errno value, from the C library, without its locale-dependent buffer.

import Glibc

extension SystemError.Code: CustomStringConvertible {
  public var description: String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(rawValue, &buffer, buffer.count) == 0 else { return "error \(rawValue)" }
    let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return String(decoding: bytes, as: UTF8.self)
  }
}

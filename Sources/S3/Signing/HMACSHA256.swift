// HMAC (RFC 2104) with SHA-256, for signatures of requests.

import Codec

/// Computes message authentication codes.
enum HMACSHA256 {
  private static let blockBytes = 64

  /// Returns the code of `message` under `key`.
  static func code(of message: [UInt8], key: [UInt8]) -> [UInt8] {
    let short = key.count > blockBytes ? SHA256.digest(of: key).bytes : key
    let padded = short + [UInt8](repeating: 0, count: blockBytes - short.count)
    var hash = SHA256()
    hash.update(padded.map { $0 ^ 0x36 })
    hash.update(message)
    let inner = hash.finish()
    hash.update(padded.map { $0 ^ 0x5c })
    hash.update(inner.bytes)
    return hash.finish().bytes
  }
}

// SHA-256 by OpenSSL's libcrypto, with the method fetched once and one context reused.

import CCrypto

/// An incremental SHA-256. Belongs to one thread at a time.
public struct SHA256: ~Copyable {
  private let context: OpaquePointer
  private static let method = Method()

  /// Stops the program when libcrypto has no SHA-256: then nothing here can work.
  public init() {
    guard let context = EVP_MD_CTX_new() else { fatalError("libcrypto: out of memory") }
    self.context = context
    restart()
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Forgets what was fed.
  public mutating func reset() { restart() }

  private func restart() {
    guard EVP_DigestInit_ex2(context, SHA256.method.pointer, nil) == 1 else {
      fatalError("libcrypto cannot start SHA-256: the library is damaged or not as installed")
    }
  }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      fatalError("libcrypto cannot continue SHA-256")
    }
  }

  public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// The digest of all that was fed; the next `update` starts afresh.
  public mutating func finish() -> Digest {
    let digest = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
      guard let base = buffer.baseAddress,
        EVP_DigestFinal_ex(context, base.assumingMemoryBound(to: UInt8.self), nil) == 1
      else { fatalError("libcrypto cannot finish SHA-256") }
      return Digest(loading: base)
    }
    restart()
    return digest
  }

  /// The digest of `bytes` alone; nothing may have been fed before.
  public mutating func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
    update(bytes)
    return finish()
  }

  public static func digest(of bytes: [UInt8]) -> Digest {
    var hash = SHA256()
    return bytes.withUnsafeBytes { hash.digest(of: $0) }
  }

  private final class Method: @unchecked Sendable {  // immutable after init; libcrypto shares it
    let pointer: OpaquePointer
    init() {
      guard let pointer = EVP_MD_fetch(nil, "SHA256", nil) else {
        fatalError("libcrypto has no SHA-256")
      }
      self.pointer = pointer
    }
  }
}

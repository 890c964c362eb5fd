// SHA-256 by OpenSSL's libcrypto. The method is fetched once, and each hash reuses one context.

import CCrypto

/// An incremental SHA-256. Belongs to one thread at a time.
public struct SHA256: ~Copyable {
  private let context: OpaquePointer
  private static let method = Method()

  /// Creates a hash. Stops the program if libcrypto has no SHA-256, because nothing works without it.
  public init() {
    guard let context = EVP_MD_CTX_new() else { fatalError("libcrypto: out of memory") }
    self.context = context
    restart()
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Discards the bytes added so far.
  public mutating func reset() { restart() }

  private func restart() {
    guard EVP_DigestInit_ex2(context, SHA256.method.pointer, nil) == 1 else {
      fatalError("libcrypto cannot start SHA-256: the library is damaged")
    }
  }

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      fatalError("libcrypto cannot continue SHA-256")
    }
  }

  /// Adds bytes.
  public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// Returns the digest of all added bytes and resets the hash.
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

  /// Returns the digest of `bytes`. The hash must be empty.
  public mutating func digest(of bytes: UnsafeRawBufferPointer) -> Digest {
    update(bytes)
    return finish()
  }

  /// Returns the digest of `bytes`.
  public static func digest(of bytes: [UInt8]) -> Digest {
    var hash = SHA256()
    return bytes.withUnsafeBytes { hash.digest(of: $0) }
  }

  private final class Method: @unchecked Sendable {  // immutable; libcrypto allows sharing
    let pointer: OpaquePointer
    init() {
      guard let pointer = EVP_MD_fetch(nil, "SHA256", nil) else {
        fatalError("libcrypto has no SHA-256")
      }
      self.pointer = pointer
    }
  }
}

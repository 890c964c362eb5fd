// AES-XTS with the sector numbers of dm-crypt's `aes-xts-plain64`, by libcrypto (IEEE 1619; the kernel's
// Documentation/admin-guide/device-mapper/dm-crypt.rst).

import CCrypto

/// Decrypts sectors of 512 bytes. Belongs to one thread at a time.
public final class SectorCipher {
  public static let sectorBytes = 512

  private let context: OpaquePointer
  private let key: [UInt8]
  private let method: OpaquePointer

  /// Creates a cipher.
  /// - Parameter key: 32 bytes for AES-128, 64 bytes for AES-256: two keys in a row.
  /// - Returns: nil for a key of another length, or of two equal halves, which no program makes.
  public init?(key: [UInt8]) {
    guard key.count == 32 || key.count == 64,
      !key[..<(key.count / 2)].elementsEqual(key[(key.count / 2)...]),
      let method = EVP_CIPHER_fetch(nil, key.count == 32 ? "AES-128-XTS" : "AES-256-XTS", nil)
    else { return nil }
    guard let context = EVP_CIPHER_CTX_new() else {
      EVP_CIPHER_free(method)
      return nil
    }
    (self.context, self.key, self.method) = (context, key, method)
    guard EVP_DecryptInit_ex2(context, method, key, [UInt8](repeating: 0, count: 16), nil) == 1
    else { return nil }
  }

  deinit {
    EVP_CIPHER_CTX_free(context)
    EVP_CIPHER_free(method)
  }

  /// Decrypts a sector in place.
  /// - Parameter number: the number of the sector in the device.
  /// - Throws: `CodecError` if libcrypto refuses.
  public func decrypt(
    _ sector: UnsafeMutableRawBufferPointer, number: UInt64
  ) throws(CodecError) {
    precondition(sector.count == SectorCipher.sectorBytes)
    var tweak = [UInt8](repeating: 0, count: 16)
    for i in 0..<8 { tweak[i] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(i))) }
    var count: Int32 = 0
    let bytes = sector.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard EVP_DecryptInit_ex2(context, nil, nil, tweak, nil) == 1,
      EVP_DecryptUpdate(context, bytes, &count, bytes, Int32(sector.count)) == 1,
      Int(count) == sector.count
    else { throw .corrupt("a sector cannot be decrypted") }
  }
}

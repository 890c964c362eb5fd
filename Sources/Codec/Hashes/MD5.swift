// MD5 (RFC 1321) by libcrypto, for comparison with the digests in package databases only. MD5 gives
// no protection against an attacker, and no decision about trust depends on it.

import CCrypto

/// Computes MD5 digests.
public enum MD5 {
  /// Returns the 16 bytes of the digest, or nil if libcrypto refuses MD5 (a system in FIPS mode).
  public static func digest(of bytes: [UInt8]) -> [UInt8]? {
    guard let context = EVP_MD_CTX_new(), let method = EVP_MD_fetch(nil, "MD5", nil) else {
      return nil
    }
    defer {
      EVP_MD_free(method)
      EVP_MD_CTX_free(context)
    }
    var digest = [UInt8](repeating: 0, count: 16)
    guard EVP_DigestInit_ex2(context, method, nil) == 1,
      bytes.withUnsafeBytes({ EVP_DigestUpdate(context, $0.baseAddress, $0.count) }) == 1,
      EVP_DigestFinal_ex(context, &digest, nil) == 1
    else { return nil }
    return digest
  }
}

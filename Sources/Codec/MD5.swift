// MD5 (RFC 1321) by libcrypto: xCAT names its lock files with it. Nothing is trusted by it.

import CCrypto

public enum MD5 {
  /// 32 lower-case hexadecimal digits; nil where libcrypto refuses MD5 (FIPS mode).
  public static func hex(of bytes: [UInt8]) -> String? {
    var digest = [UInt8](repeating: 0, count: 16)
    var length: UInt32 = 0
    guard EVP_Digest(bytes, bytes.count, &digest, &length, EVP_md5(), nil) == 1, length == 16
    else { return nil }
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

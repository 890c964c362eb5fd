// Ed25519 keys (RFC 8032) by libcrypto, in PEM files.
//
// 1. A key's id is the SHA-256 of its SubjectPublicKeyInfo in DER. Nothing else names a key.
// 2. Verification never throws: a signature is valid or it is not.
// 3. The forms on disk are those that `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`
//    write: PKCS#8 and SubjectPublicKeyInfo in PEM, without a passphrase.

import CCrypto
import Codec
import Platform

/// A key or a statement that cannot be used, and the reason.
public typealias SignatureError = Failure<SignatureDomain>

/// The module Signatures, for its errors.
public enum SignatureDomain: FailureDomain {
  public static let usualCode = ErrorCode.signatureRefused
}

/// A key that verifies signatures.
public struct PublicKey: Hashable, Sendable {
  /// The length of a key.
  public static let byteCount = 32
  /// The length of a signature.
  public static let signatureByteCount = 64
  static let prefix: [UInt8] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
  ]
  static let label = "PUBLIC KEY"

  /// The 32 bytes of RFC 8032.
  public let raw: [UInt8]

  init(raw: [UInt8]) { self.raw = raw }

  /// The SubjectPublicKeyInfo.
  public var der: [UInt8] { PublicKey.prefix + raw }
  /// The id of the key.
  public var id: Digest { SHA256.digest(of: der) }
  /// The key as a PEM file.
  public var pem: [UInt8] { PEM.encode(der, label: PublicKey.label) }

  /// Reads a PEM file.
  /// - Throws: `SignatureError` if it is not one Ed25519 public key.
  public init(pem: [UInt8], name: String) throws(SignatureError) {
    let der = try PEM.decode(pem, label: PublicKey.label, name: name)
    guard der.count == PublicKey.prefix.count + PublicKey.byteCount,
      der.starts(with: PublicKey.prefix)
    else { throw SignatureError(name, "is not an Ed25519 public key", hint: PEM.hint) }
    raw = Array(der.dropFirst(PublicKey.prefix.count))
  }

  /// Returns whether `signature` is this key's signature of `message`.
  public func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    guard signature.count == PublicKey.signatureByteCount,
      let key = EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, raw, raw.count)
    else { return false }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1 else { return false }
    return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }
}

/// A key that signs.
public struct SigningKey: Sendable {
  private static let prefix: [UInt8] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
  ]
  private static let label = "PRIVATE KEY"

  private let seed: [UInt8]
  /// The key that verifies its signatures.
  public let publicKey: PublicKey

  private init(seed: [UInt8], name: String) throws(SignatureError) {
    let failure = SignatureError(name, "cannot be used as an Ed25519 key: libcrypto refuses it")
    guard let key = EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, seed, seed.count) else {
      throw failure
    }
    defer { EVP_PKEY_free(key) }
    var raw = [UInt8](repeating: 0, count: PublicKey.byteCount)
    var count = raw.count
    guard EVP_PKEY_get_raw_public_key(key, &raw, &count) == 1, count == raw.count else {
      throw failure
    }
    self.seed = seed
    publicKey = PublicKey(raw: raw)
  }

  /// Generates a key from the system's random numbers.
  public static func generate() throws(SignatureError) -> SigningKey {
    let name = "a new key"
    let failure = SignatureError(name, "cannot be generated: libcrypto failed")
    guard let context = EVP_PKEY_CTX_new_from_name(nil, "ED25519", nil) else { throw failure }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_generate(context, &key) == 1, let key else {
      throw failure
    }
    defer { EVP_PKEY_free(key) }
    var seed = [UInt8](repeating: 0, count: PublicKey.byteCount)
    var count = seed.count
    guard EVP_PKEY_get_raw_private_key(key, &seed, &count) == 1, count == seed.count else {
      throw failure
    }
    return try SigningKey(seed: seed, name: name)
  }

  /// Reads a PEM file.
  /// - Throws: `SignatureError` if it is not one Ed25519 private key without a passphrase.
  public init(pem: [UInt8], name: String) throws(SignatureError) {
    let der = try PEM.decode(pem, label: SigningKey.label, name: name)
    guard der.count == SigningKey.prefix.count + PublicKey.byteCount,
      der.starts(with: SigningKey.prefix)
    else { throw SignatureError(name, "is not an Ed25519 private key", hint: PEM.hint) }
    try self.init(seed: Array(der.dropFirst(SigningKey.prefix.count)), name: name)
  }

  /// The private key as a PEM file.
  public var pem: [UInt8] { PEM.encode(SigningKey.prefix + seed, label: SigningKey.label) }

  /// Returns the signature, 64 bytes. It is deterministic: one message has one signature.
  public func sign(_ message: [UInt8]) throws(SignatureError) -> [UInt8] {
    let failure = SignatureError("key \(publicKey.id.shortHex)", "cannot sign: libcrypto failed")
    guard let key = EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, seed, seed.count) else {
      throw failure
    }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { throw failure }
    defer { EVP_MD_CTX_free(context) }
    var signature = [UInt8](repeating: 0, count: PublicKey.signatureByteCount)
    var count = signature.count
    guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
      EVP_DigestSign(context, &signature, &count, message, message.count) == 1,
      count == signature.count
    else { throw failure }
    return signature
  }
}

// Ed25519 keys and their files, with openssl as the oracle.

import Codec
import Foundation
import Signatures
import TestSupport
import Testing

@Suite struct KeyTests {
  /// The first three test vectors of RFC 8032, section 7.1.
  @Test(arguments: [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ])
  func `signatures equal the test vectors of RFC 8032`(
    _ vector: (seed: String, key: String, message: String, signature: String)
  ) throws {
    let der = hex("302e020100300506032b657004220420") + hex(vector.seed)
    let key = try SigningKey(pem: pem(der, "PRIVATE KEY"), name: "vector")
    #expect(key.publicKey.raw == hex(vector.key))
    let signature = try key.sign(hex(vector.message))
    #expect(signature == hex(vector.signature))
    #expect(key.publicKey.verify(signature, of: hex(vector.message)))
  }

  @Test(.usesTools) func `openssl reads the keys and creates the same signatures`() throws {
    let directory = try TemporaryDirectory()
    let key = try SigningKey.generate()
    try write(key.pem, directory.path("key"))
    try write(key.publicKey.pem, directory.path("pub"))
    try write(Array("message\n".utf8), directory.path("message"))
    try shell(
      """
      cd "$1"; openssl pkey -in key -pubout | cmp - pub
      openssl pkeyutl -sign -inkey key -rawin -in message -out sig
      openssl genpkey -algorithm ed25519 -out theirs; openssl pkey -in theirs -pubout -out theirs.pub
      openssl pkeyutl -sign -inkey theirs -rawin -in message -out theirs.sig
      """, directory.path)
    #expect(try key.sign(Array("message\n".utf8)) == read(directory.path("sig")))
    let theirs = try SigningKey(pem: read(directory.path("theirs")), name: "theirs")
    #expect(theirs.pem == (try read(directory.path("theirs"))))
    let theirPublic = try PublicKey(pem: read(directory.path("theirs.pub")), name: "theirs.pub")
    #expect(theirPublic == theirs.publicKey)
    #expect(theirPublic.verify(try read(directory.path("theirs.sig")), of: Array("message\n".utf8)))
    #expect(
      !key.publicKey.verify(try read(directory.path("theirs.sig")), of: Array("message\n".utf8)))
    // A key's id is the SHA-256 of openssl's DER output.
    let id = try shell(
      "openssl pkey -pubin -in \"$1\" -outform DER | sha256sum | cut -c1-64", directory.path("pub"))
    #expect(id.output == key.publicKey.id.hex + "\n")
  }

  @Test func `each flipped bit of message, signature and key is detected`() throws {
    let key = try SigningKey.generate()
    let message = Array("image compute\nnumber 3\n".utf8)
    let signature = try key.sign(message)
    #expect(key.publicKey.verify(signature, of: message))
    for bit in 0..<(8 * message.count) {
      #expect(!key.publicKey.verify(signature, of: flipped(message, bit)), "message bit \(bit)")
    }
    for bit in 0..<(8 * signature.count) {
      #expect(!key.publicKey.verify(flipped(signature, bit), of: message), "signature bit \(bit)")
    }
    for bit in 0..<256 {
      let der = flipped(key.publicKey.der, bit + 96)
      let other = try PublicKey(pem: pem(der, "PUBLIC KEY"), name: "flipped")
      #expect(!other.verify(signature, of: message), "key bit \(bit)")
    }
    for count in [0, 1, 63, 65, 128] {
      let other = Array((signature + signature).prefix(count))
      #expect(!key.publicKey.verify(other, of: message))
    }
  }

  @Test(.usesTools) func `a file that is not exactly one plain key is refused`() throws {
    let directory = try TemporaryDirectory()
    try runFixture("scripts/keys/make-unusable-keys.sh", directory.path)
    for name in [
      "ed448", "x25519", "rsa", "locked", "two", "cut", "empty", "padded", "der", "good.pub",
    ] {
      #expect(throws: SignatureError.self, "\(name)") {
        try SigningKey(pem: read(directory.path(name)), name: name)
      }
    }
    for name in ["ed448.pub", "x25519.pub", "rsa.pub", "good", "empty", "der"] {
      #expect(throws: SignatureError.self, "\(name)") {
        try PublicKey(pem: read(directory.path(name)), name: name)
      }
    }
    // Changes of editors and mail programs do not change the key.
    try shell(
      "cd \"$1\"; sed 's/$/\\r/' good >crlf; (echo note; cat good) >noted; head -c -1 good >noend",
      directory.path)
    let good = try SigningKey(pem: read(directory.path("good")), name: "good")
    for name in ["crlf", "noted", "noend"] {
      let other = try SigningKey(pem: read(directory.path(name)), name: name)
      #expect(other.publicKey == good.publicKey, "\(name)")
    }
  }
}

func hex(_ text: String) -> [UInt8] {
  let digits = Array(text.utf8).map { $0 < 0x3a ? $0 - 0x30 : $0 - 0x57 }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func pem(_ der: [UInt8], _ label: String) -> [UInt8] {
  Array(
    "-----BEGIN \(label)-----\n\(Data(der).base64EncodedString())\n-----END \(label)-----\n".utf8)
}

func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
  var bytes = bytes
  bytes[bit / 8] ^= 1 << (bit % 8)
  return bytes
}

func read(_ path: String) throws -> [UInt8] {
  Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}

func write(_ bytes: [UInt8], _ path: String) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}

// The keys of a depot (docs/format.md, "The depot"):
//
//     format                          text; created once, and written once more with a higher version
//     packs/<sha256>-<writer>         a pack; the key of every upload is new
//     doomed/<sha256>-<writer>        a mark: the pack will be deleted
//     dirs/<sha256>                   the directories of some packs
//     refs/<image>/<n>                a ref; creating it is the commit
//     removed/<image>/<n>             the number's snapshot was removed
//     forgetting/<image>/<n>.<id>     a removal that is about to be decided
//     tags/<image>/<tag>, pins/<image>/<n>, signatures/<image>/<name>
//     writers/<id>                    a writer that may count on packs
//
// 1. A key names one content for ever. A key that was deleted never comes back with another content, because
//    the names of packs, writers and removals contain random digits, numbers are recorded in `removed/`, and
//    `dirs/` and signatures are named by their content. Tags and pins are the exception: nothing counts on
//    them. So is `format`.
// 2. Keys from the bucket are parsed strictly: each has one spelling. Other keys are ignored, and `verify`
//    reports them.

import Codec
import ObjectStorage
import Platform
import Store

/// Identifies a writer or a collector: 32 lower-case hexadecimal digits.
public struct WriterID: Hashable, Sendable, Comparable, CustomStringConvertible {
  let high: UInt64
  let low: UInt64

  package init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// Parses 32 lower-case digits; nil for other text.
  public init?(_ text: some StringProtocol) {
    self.init(hexDigits: Array(text.utf8)[...])
  }

  init?(hexDigits digits: ArraySlice<UInt8>) {
    guard digits.count == 32 else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for digit in digits {
      guard !(0x41...0x46).contains(digit), let value = hexValue(digit) else { return nil }
      words = (words.0 << 4 | words.1 >> 60, words.1 << 4 | UInt64(value))
    }
    self.init(high: words.0, low: words.1)
  }

  public var description: String {
    [high, low].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }.joined()
  }

  public static func < (a: WriterID, b: WriterID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

/// Identifies a pack of a depot: the SHA-256 of its bytes, and the writer that uploaded it.
///
/// Two uploads of equal bytes have different names, so a pack that is being deleted never comes back.
public struct DepotPack: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let digest: Digest
  public let writer: WriterID

  package init(digest: Digest, writer: WriterID) { (self.digest, self.writer) = (digest, writer) }

  init?(_ text: some StringProtocol) {
    let bytes = Array(text.utf8)
    guard bytes.count == 97, bytes[64] == UInt8(ascii: "-"),
      bytes.allSatisfy({ !(0x41...0x46).contains($0) }),
      let digest = Digest(hexDigits: Array(bytes[..<64])),
      let writer = WriterID(hexDigits: bytes[65...])
    else { return nil }
    self.init(digest: digest, writer: writer)
  }

  public var description: String { "\(digest.hex)-\(writer)" }
  /// The pack for messages.
  var shortName: String { "pack \(digest.shortHex)" }

  public static func < (a: DepotPack, b: DepotPack) -> Bool {
    a.digest == b.digest ? a.writer < b.writer : a.digest < b.digest
  }
}

/// Builds and parses keys.
enum DepotKeys {
  static let packs = "packs/"
  static let doomed = "doomed/"
  static let directories = "dirs/"
  static let writers = "writers/"

  /// Makes a key of parts that are valid by construction.
  static func key(_ text: String) -> ObjectKey {
    guard let key = ObjectKey(text) else { preconditionFailure("'\(text)' is not a valid key") }
    return key
  }

  static let format = key("format")
  static func pack(_ pack: DepotPack) -> ObjectKey { key("\(packs)\(pack)") }
  static func doomed(_ pack: DepotPack) -> ObjectKey { key("\(doomed)\(pack)") }
  static func directory(_ digest: Digest) -> ObjectKey { key("\(directories)\(digest.hex)") }
  static func writer(_ id: WriterID) -> ObjectKey { key("\(writers)\(id)") }

  static func ref(_ image: ImageName, _ number: Int) -> ObjectKey {
    key("refs/\(encoded(image))/\(digits(number))")
  }
  static func removed(_ image: ImageName, _ number: Int) -> ObjectKey {
    key("removed/\(encoded(image))/\(digits(number))")
  }
  static func forgetting(_ image: ImageName, _ number: Int, _ id: WriterID) -> ObjectKey {
    key("forgetting/\(encoded(image))/\(digits(number)).\(id)")
  }
  static func tag(_ image: ImageName, _ tag: String) -> ObjectKey {
    key("tags/\(encoded(image))/\(tag)")
  }
  static func pin(_ image: ImageName, _ number: Int) -> ObjectKey {
    key("pins/\(encoded(image))/\(digits(number))")
  }
  static func signature(_ image: ImageName, _ name: SignatureFileName) -> ObjectKey {
    key("signatures/\(encoded(image))/\(String(decoding: name.fileName, as: UTF8.self))")
  }

  /// Returns the prefix of a section's keys for one image.
  static func prefix(_ section: String, _ image: ImageName) -> String {
    "\(section)/\(encoded(image))/"
  }

  /// Returns the rest of a key behind a prefix; nil if the key has another one.
  static func rest(of key: ObjectKey, after prefix: String) -> Substring? {
    guard key.text.utf8.starts(with: prefix.utf8) else { return nil }
    return key.text[key.text.utf8.index(key.text.startIndex, offsetBy: prefix.utf8.count)...]
  }

  // MARK: Numbers and images

  /// The highest number of a snapshot, as in a store.
  private static let maxNumber = 9_999_999_999

  /// Returns a number as ten digits.
  static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 10 - text.utf8.count)) + text
  }

  /// Parses ten digits; nil for other text and for 0.
  static func number(_ text: some StringProtocol) -> Int? {
    guard text.utf8.count == 10, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = Int(text), (1...maxNumber).contains(number)
    else { return nil }
    return number
  }

  /// Returns an image's name in the characters of keys: other bytes than letters, digits and `-_.+=` become
  /// `%` and two capital hexadecimal digits (RFC 3986, section 2.1).
  static func encoded(_ image: ImageName) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in image.bytes {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x5f, 0x2e, 0x2b, 0x3d:
        bytes.append(byte)
      default: bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Returns the image of an encoded name; nil if no image is encoded like this.
  static func image(_ text: some StringProtocol) -> ImageName? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == 0x25 else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap({ hexValue($0) }),
        let low = rest.popFirst().flatMap({ hexValue($0) })
      else { return nil }
      bytes.append(high << 4 | low)
    }
    guard let name = String(validating: bytes, as: UTF8.self), let image = try? ImageName(name),
      encoded(image) == text
    else { return nil }
    return image
  }
}

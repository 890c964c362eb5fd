// Names for images that do not exist yet. `ImageName` accepts every name that a store or xCAT's tables may
// hold. A new image must not resemble another one: no blanks, no invisible characters, no letters of other
// scripts.

import Platform

extension ImageName {
  /// Returns true if a new image may have this name: ASCII letters and digits, ".", "_", "-" and "+".
  public var isPlain: Bool {
    bytes.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      default: "._-+".utf8.contains(byte)
      }
    }
  }

  /// Checks that a new image may have this name.
  /// - Throws: `badName`, with the first character that is not allowed.
  public func requirePlain() throws(StoreError) {
    guard !isPlain else { return }
    let invalid = text.unicodeScalars.first { scalar in
      !(scalar.isASCII && (try? ImageName("a\(scalar)"))?.isPlain == true)
    }
    let code = invalid.map { "U+" + hexadecimal($0.value) } ?? "a character"
    throw StoreError(
      .badName, "image name '\(printable(bytes))'",
      "is not allowed for a new image: it contains \(code)",
      hint:
        "Choose a name of ASCII letters, digits, '.', '_', '-' and '+'. For an import, pass it with "
        + "--name")
  }
}

/// Returns a number in base 16 with at least four digits.
private func hexadecimal(_ value: UInt32) -> String {
  let digits = String(value, radix: 16, uppercase: true)
  return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

// Names for images that do not exist yet. `ImageName` reads every name that a store or xCAT's tables may hold;
// a new image gets one that looks like no other: no blanks, no invisible characters, no letters of other scripts.

import Platform

extension ImageName {
  /// Whether a new image may have this name: letters and digits of ASCII, ".", "_", "-" and "+".
  public var isPlain: Bool {
    bytes.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      default: "._-+".utf8.contains(byte)
      }
    }
  }

  /// Refuses a name that a new image must not get.
  /// - Throws: `badName`, naming the first character that is not allowed.
  public func requirePlain() throws(StoreError) {
    guard !isPlain else { return }
    let odd = text.unicodeScalars.first { scalar in
      !(scalar.isASCII && (try? ImageName("a\(scalar)"))?.isPlain == true)
    }
    let code = odd.map { "U+" + hexadecimal($0.value) } ?? "a character"
    throw StoreError(
      .badName, "image name '\(printable(bytes))'",
      "is not allowed for a new image: it holds \(code)",
      advice: "New names have letters and digits of ASCII, '.', '_', '-' and '+'; choose one, with "
        + "--name where an import brings another")
  }
}

/// At least four digits.
private func hexadecimal(_ value: UInt32) -> String {
  let digits = String(value, radix: 16, uppercase: true)
  return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

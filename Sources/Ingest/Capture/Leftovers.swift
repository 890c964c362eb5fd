// Recognizes the names that only unfinished work creates. These entries are never content, wherever they are.
//
// A change creates `.imgstore-TOKEN`, also with a suffix. A file that is being written is named
// `.NAME.TOKEN.imgstore-part`. A token has 16 hexadecimal digits. The directory of an image's standby trees
// is `.imgstore-TOKEN-standby`.

/// Recognizes leftovers of unfinished work by their names.
enum Leftovers {
  private static let changePrefix = Array(".imgstore-".utf8)
  private static let standbySuffix = Array("-standby".utf8)
  private static let outputSuffix = Array(".imgstore-part".utf8)
  private static let tokenBytes = 16

  /// Returns the origin of a leftover, or nil for any other name.
  static func detail(of name: [UInt8]) -> String? {
    guard name.first == 0x2e else { return nil }
    let token: ArraySlice<UInt8>
    let detail: String
    if name.starts(with: changePrefix) {
      token = name.dropFirst(changePrefix.count).prefix(tokenBytes)
      detail =
        name.dropFirst(changePrefix.count + tokenBytes) == standbySuffix[...]
        ? "standby trees" : "left over by an unfinished change"
    } else if name.suffix(outputSuffix.count) == outputSuffix[...] {
      token = name.dropLast(outputSuffix.count).suffix(tokenBytes)
      detail = "a file that is, or was, being written"
    } else {
      return nil
    }
    let isToken =
      token.count == tokenBytes
      && token.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    return isToken ? detail : nil
  }
}

// opt/xcat/xcatinfo, by which a node knows the packed image that it runs: lines NAME='VALUE' that packimage writes
// (docs/xcat-contract.md#packimage-steps). The bytes are untrusted: they come from nodes and archives.

import Platform
import Store

/// The identity of a packed image.
struct ImageInfo: Sendable, Equatable {
  static let path: RelativePath = "opt/xcat/xcatinfo"
  static let maxBytes = 64 << 10
  /// The name of the image that was packed; nil if the file does not tell.
  let imageName: String?
  let uuid: ImageUUID

  /// Parses the file; nil if it has no valid UUID.
  init?(_ bytes: [UInt8]) {
    var values: [String: String] = [:]
    for line in bytes.prefix(ImageInfo.maxBytes).split(separator: 0x0a) {
      let text = String(decoding: line, as: UTF8.self)
      guard let equals = text.firstIndex(of: "=") else { continue }
      let value = text[text.index(after: equals)...]
      values[String(text[..<equals])] = value.trimming("'\"")
    }
    guard let uuid = values["IMAGEUUID"].flatMap({ ImageUUID($0) }) else { return nil }
    self.uuid = uuid
    imageName = values["IMAGENAME"].flatMap { try? ImageName($0).text }
  }
}

extension StringProtocol {
  /// Returns the text without these characters at both ends.
  fileprivate func trimming(_ characters: String) -> String {
    var rest = self[...]
    while let first = rest.first, characters.contains(first) || first == "\r" {
      rest = rest.dropFirst()
    }
    while let last = rest.last, characters.contains(last) || last == "\r" {
      rest = rest.dropLast()
    }
    return String(rest)
  }
}

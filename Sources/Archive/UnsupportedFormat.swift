// Formats that are recognised by their first bytes for the message only; they cannot be read.

/// A format that cannot be read.
struct UnsupportedFormat {
  /// The description: "compressed with lz4".
  let description: String
  /// The command that converts it to a tar archive; empty if it is not an archive.
  let remedy: String
  /// Whether it is a compressed file, of whatever content.
  var isCompression = false

  /// Recognises a format by the first bytes of a file.
  static func of(_ head: some Collection<UInt8>) -> UnsupportedFormat? {
    let head = Array(head.prefix(512))
    func begins(_ magic: [UInt8]) -> Bool { head.starts(with: magic) }
    func compressed(_ name: String, _ command: String) -> UnsupportedFormat {
      UnsupportedFormat(
        description: "compressed with \(name)", remedy: "'\(command)' makes a plain one of it",
        isCompression: true)
    }
    if begins([0x04, 0x22, 0x4d, 0x18]) || begins([0x02, 0x21, 0x4c, 0x18]) {
      return compressed("lz4", "lz4 -dc")
    }
    if begins(Array("LZIP".utf8)) { return compressed("lzip", "lzip -dc") }
    if begins([0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d, 0x0a]) { return compressed("lzop", "lzop -dc") }
    if begins([0x1f, 0x9d]) { return compressed("compress", "uncompress -c") }
    if begins([0x1f, 0xa0]) { return compressed("lzh", "gzip -dc") }
    if begins([0x1f, 0x1e]) { return compressed("pack", "gzip -dc") }
    if begins(Array("PK\u{3}\u{4}".utf8)) || begins(Array("PK\u{5}\u{6}".utf8)) {
      return UnsupportedFormat(
        description: "a zip archive", remedy: "unpack it, and pack it with tar")
    }
    if begins([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]) {
      return UnsupportedFormat(
        description: "a 7z archive", remedy: "unpack it, and pack it with tar")
    }
    if begins(Array("Rar!".utf8)) {
      return UnsupportedFormat(
        description: "a rar archive", remedy: "unpack it, and pack it with tar")
    }
    if begins(Array("hsqs".utf8)) {
      return UnsupportedFormat(description: "a squashfs image", remedy: "")
    }
    if begins([0xed, 0xab, 0xee, 0xdb]) {
      return UnsupportedFormat(description: "an rpm package", remedy: "")
    }
    if begins(Array("!<arch>".utf8)) {
      return UnsupportedFormat(description: "an ar archive, as a Debian package is", remedy: "")
    }
    if begins(Array("070701".utf8)) || begins(Array("070702".utf8)) {
      return UnsupportedFormat(
        description: "a cpio archive", remedy: "unpack it, and pack it with tar")
    }
    return nil
  }

  /// Recognises a compression that is supported, but not expected here.
  static func compression(of head: some Collection<UInt8>) -> String? {
    let head = Array(head.prefix(8))
    if head.starts(with: [0x1f, 0x8b]) { return "gzip" }
    if head.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a]) { return "xz" }
    if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return "zstd" }
    if head.starts(with: Array("BZh".utf8)) { return "bzip2" }
    return nil
  }
}

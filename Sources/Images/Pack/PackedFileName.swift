// The format that the name of an output file implies: "a.tar.zst" is a tar, compressed with zstd.
//
// 1. The name determines the format unless the caller does. A contradiction is refused.
// 2. A name without a known ending implies no format.
// 3. The endings of other well-known formats are refused: the content would not be what the name says.
// 4. Endings that files of any format have, as in "initrd.img", are refused unless the caller states the
//    format.

import Render

/// The format that a file name implies.
struct PackedFileName {
  /// The archive format; nil if the name does not imply one.
  var method: PackMethod?
  var compression = Compression.unknown

  /// The compression that a name implies.
  enum Compression: Equatable {
    /// No statement.
    case unknown
    /// No compression: the name ends with the archive format, as in ".tar".
    case none
    case codec(SegmentCodec)
    /// An ending that does not determine the content, such as ".img".
    case ambiguous
    /// Another format, which imgstore cannot write: a compression such as ".bz2", a file system or a disk
    /// image such as ".iso", a package.
    case other
  }

  private static let codecs: [String: SegmentCodec] = [
    "gz": .gzip, "gzip": .gzip, "xz": .xz, "zst": .zstd, "zstd": .zstd,
  ]
  private static let tars: [String: SegmentCodec] = ["tgz": .gzip, "txz": .xz, "tzst": .zstd]
  private static let archives: [String: PackMethod] = ["cpio": .cpio, "tar": .tar]
  private static let squashfs: Set<String> = ["sfs", "squashfs", "sqfs", "sqsh"]
  private static let others: Set<String> = [
    // compressions
    "br", "bz2", "lz", "lz4", "lzma", "lzo", "tbz", "tbz2", "z",
    // archives and packages
    "7z", "apk", "ar", "cab", "deb", "pkg", "rar", "rpm", "shar", "wim", "xar", "zip",
    // file systems
    "btrfs", "cramfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "jffs2", "romfs", "ubifs", "udf",
    "vfat", "xfs",
    // disk images
    "dmg", "efi", "hdd", "iso", "ova", "ovf", "qcow", "qcow2", "qed", "vdi", "vhd", "vhdx", "vmdk",
  ]
  private static let ambiguous: Set<String> = ["bin", "img", "raw"]

  /// Parses the endings of a path's last component.
  init(_ path: String) {
    // A directory: the file in it gets the usual name.
    if path.hasSuffix("/") { return }
    var endings = (path.split(separator: "/").last ?? "").split(
      separator: ".", omittingEmptySubsequences: false
    ).dropFirst().map { $0.lowercased() }
    guard let last = endings.popLast() else { return }
    if PackedFileName.squashfs.contains(last) {
      method = .squashfs
    } else if let codec = PackedFileName.tars[last] {
      (method, compression) = (.tar, .codec(codec))
    } else if let archive = PackedFileName.archives[last] {
      (method, compression) = (archive, .none)
    } else if PackedFileName.others.contains(last) {
      compression = .other
    } else if PackedFileName.ambiguous.contains(last) {
      compression = .ambiguous
    } else if let codec = PackedFileName.codecs[last] {
      (method, compression) = (endings.last.flatMap { PackedFileName.archives[$0] }, .codec(codec))
    }
  }

  /// Returns whether a file of this format may have the name.
  /// - Parameter isStated: whether the caller names the format, instead of leaving it to the name.
  func allows(_ method: PackMethod, _ codec: SegmentCodec, isStated: Bool = false) -> Bool {
    if let own = self.method, own != method { return false }
    switch compression {
    case .unknown: return true
    case .ambiguous: return isStated
    case .codec(let own): return method != .squashfs && own == codec
    case .none, .other: return false
    }
  }
}

extension PackRequest {
  /// Creates a request. The ending of the output's name determines the method and the codec that are nil.
  /// - Throws: `ImageError` (`usage`) if the name implies another format than the arguments.
  public init(
    _ reference: String, output: String?, method: PackMethod? = nil, codec: SegmentCodec? = nil
  ) throws {
    self.init(reference)
    self.output = output
    let name = output.map(PackedFileName.init)
    self.method = method ?? name?.method ?? self.method
    if let codec {
      self.codec = codec
    } else if case .codec(let codec)? = name?.compression {
      self.codec = codec
    }
    guard let output, let name,
      !name.allows(self.method, self.codec, isStated: method != nil)
    else { return }
    if name.compression == .ambiguous {
      throw ImageError(
        .usage, "output \(output)", "has a name that does not say which format to write",
        hint: "Nothing was written; name the format: '-m cpio', '-m tar' or '-m squashfs'")
    }
    if name.compression == .none {
      throw ImageError(
        .usage, "output \(output)",
        "is a name for an uncompressed archive, which pack cannot write",
        hint: "Nothing was written; name it '\(output).gz', '\(output).xz' or '\(output).zst'")
    }
    if name.compression == .other {
      throw ImageError(
        .usage, "output \(output)",
        "is a name for a format that pack cannot write; it writes cpio, tar and squashfs",
        hint: "Nothing was written; name it '….cpio.gz', '….tar.zst' or '….sfs', for example")
    }
    throw ImageError(
      .usage, "output \(output)",
      "has a name for another format than \(formText)",
      hint:
        "Nothing was written; name it '…\(fileName.dropFirst("rootimg".count))', or leave out the "
        + "options that contradict its name")
  }

  private var formText: String {
    method == .squashfs ? "squashfs" : "\(method.rawValue) with \(codec.rawValue)"
  }
}

extension ExportRequest {
  /// Checks that the name of the destination fits a bundle.
  /// - Throws: `ImageError` (`usage`) if the name implies another format than tar with gzip.
  func requireFittingName() throws {
    guard requiresFittingName, case .file(let destinationPath?) = destination,
      !PackedFileName(destinationPath).allows(.tar, .gzip)
    else { return }
    throw ImageError(
      .usage, "destination \(destinationPath)", "has a name for another format than tar with gzip",
      hint: "Nothing was written; a bundle's name ends in .tgz or .tar.gz")
  }
}

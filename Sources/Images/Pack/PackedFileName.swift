// What the name of an output file says about its form: "a.tar.zst" is a tar, compressed with zstd.
//
// 1. The name decides where nothing else does. What contradicts the name is refused, so that no file says one form
//    and has another.
// 2. A name without a known ending says nothing.

import Platform
import Render

/// The form that a file name promises.
struct PackedFileName {
  /// How the entries are put together; nil where the name does not say it.
  var method: PackMethod?
  var compression = Compression.unknown

  /// What a name says about compression.
  enum Compression: Equatable {
    /// Nothing.
    case unknown
    /// The name ends where a compression's would follow: ".tar".
    case none
    case codec(SegmentCodec)
    /// One that is not written, such as ".bz2".
    case other
  }

  private static let codecs: [String: SegmentCodec] = [
    "gz": .gzip, "gzip": .gzip, "xz": .xz, "zst": .zstd, "zstd": .zstd,
  ]
  private static let tars: [String: SegmentCodec] = ["tgz": .gzip, "txz": .xz, "tzst": .zstd]
  private static let archives: [String: PackMethod] = ["cpio": .cpio, "tar": .tar]
  private static let squashfs: Set<String> = ["sfs", "squashfs", "sqfs", "sqsh"]
  private static let others: Set<String> = [
    "br", "bz2", "lz", "lz4", "lzma", "lzo", "tbz", "tbz2", "z", "zip",
  ]

  /// Reads the endings of a path.
  init(_ path: String) {
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
    } else if let codec = PackedFileName.codecs[last] {
      (method, compression) = (endings.last.flatMap { PackedFileName.archives[$0] }, .codec(codec))
    }
  }

  /// Whether a file of this form may have the name.
  func allows(_ method: PackMethod, _ codec: SegmentCodec) -> Bool {
    if let own = self.method, own != method { return false }
    switch compression {
    case .unknown: return true
    case .codec(let own): return method != .squashfs && own == codec
    case .none, .other: return false
    }
  }
}

extension PackRequest {
  /// Makes a request for a file. The end of its name decides what the caller leaves open.
  /// - Throws: `ImageError` (`usage`) where the name promises another form.
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
    guard let output, let name, !name.allows(self.method, self.codec) else { return }
    throw ImageError(
      .usage, "output \(output)",
      "has a name for another form than \(formText)",
      advice:
        "Nothing was written; name it '…\(fileName.dropFirst("rootimg".count))', or leave out what "
        + "contradicts its name")
  }

  private var formText: String {
    method == .squashfs ? "squashfs" : "\(method.rawValue) with \(codec.rawValue)"
  }
}

extension ExportRequest {
  /// - Throws: `ImageError` (`usage`) where the destination's name promises another form than a bundle has.
  func requireFittingName() throws {
    guard requiresFittingName, case .file(let wanted?) = destination,
      !PackedFileName(wanted).allows(.tar, .gzip)
    else { return }
    throw ImageError(
      .usage, "destination \(wanted)", "has a name for another form than tar with gzip",
      advice: "Nothing was written; a bundle's name ends in .tgz or .tar.gz")
  }
}

// The packed image's file: written where nobody sees it, made durable, and put in its place by one rename.
//
// Whatever happens before the rename, the old file stays whole; a node that downloads it keeps it.

import Apply
import Platform

/// Who can read a packed image.
enum PackedFileMode {
  /// Nodes fetch it from the image's own place without a password, as with packimage.
  case readable
  /// It holds the tree's /etc/shadow and host keys.
  case `private`
  /// That of the file that it replaces.
  case asBefore(UInt16)

  var bits: UInt16 {
    switch self {
    case .readable: 0o644
    case .private: 0o600
    case .asBefore(let mode): mode
    }
  }
}

/// A packed image under way.
final class PackedFile {
  private let fileSystem: any FileSystem
  private let place: ResolvedPath
  private let file: OutputFile
  private let mode: PackedFileMode
  /// Made at the first write: a squashfs image is not written as a stream.
  private var stream: BackgroundWriter?
  private let object: String
  private let replaced: ReplacedEntry

  /// Begins a file that will be `place`.
  /// - Parameter replaced: what it may replace: what was seen before the packing began.
  init(
    _ fileSystem: any FileSystem, _ place: ResolvedPath, replacing replaced: ReplacedEntry,
    _ mode: PackedFileMode
  ) throws {
    self.replaced = replaced
    self.fileSystem = fileSystem
    self.place = place
    self.mode = mode
    object = "packed image \(printable(place.name))"
    file = try PackedFile.explaining(object) {
      try OutputFile(fileSystem, in: place.directory, named: place.name)
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    try PackedFile.explaining(object) {
      let stream = self.stream ?? BackgroundWriter(fileSystem, .newFile(file.file))
      self.stream = stream
      try stream.write(bytes)
    }
  }

  /// Lets `body` write the file at whatever offsets it likes.
  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R {
    try PackedFile.explaining(object) { try body(file.file, fileSystem) }
  }

  /// Makes the file durable and puts it in its place.
  func publish() throws {
    try PackedFile.explaining(object) {
      try stream?.finish()
      if mode.bits != OutputFile.privateMode { try fileSystem.setMode(file.file.raw, mode.bits) }
      try fileSystem.sync(file.file.raw)
      var replacement = EntryReplacement(fileSystem)
      let result = try replacement.publish(
        at: place.directory.raw, file.nameTemporarily(), as: place.name, replacing: replaced)
      guard result == .done else {
        throw ImageError(
          object, "was written by somebody else while it was being packed; that file was kept",
          advice: "Run the command again to replace it")
      }
      file.setPublished()
      try fileSystem.sync(place.directory.raw)
    }
  }

  private static func explaining<R>(_ object: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SystemError {
      throw ImageError(
        object, "cannot be written (\(error)); the file that was there is as it was",
        advice: error.advice)
    }
  }
}

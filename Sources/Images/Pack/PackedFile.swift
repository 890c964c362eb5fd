// The file of a packed image. It is written without a visible name, made durable, and published by one
// rename.
//
// Until the rename, the old file stays complete. A node that is downloading it can finish.

import Apply
import Platform

/// The mode of a packed image.
enum PackedFileMode {
  /// 0644, as with packimage: nodes download the image's own file without a password.
  case readable
  /// 0600, because the file contains the tree's /etc/shadow and host keys.
  case `private`
  /// The mode of the replaced file.
  case asBefore(UInt16)

  var bits: UInt16 {
    switch self {
    case .readable: 0o644
    case .private: 0o600
    case .asBefore(let mode): mode
    }
  }

  var isPrivate: Bool {
    if case .private = self { true } else { false }
  }
}

/// A packed image that is being written.
final class PackedFile: RenderingTarget {
  private let fileSystem: any FileSystem
  private let destination: ResolvedPath
  private let file: OutputFile
  private let mode: PackedFileMode
  /// The writer of an archive, created at the first `write`. A squashfs image is not a stream.
  private var stream: BackgroundWriter?
  private let object: String
  private let replaced: ReplacedEntry

  /// Creates the file without its final name.
  /// - Parameters:
  ///   - destination: the directory and the final name.
  ///   - replaced: the entry that it may replace: the one that existed before the packing began.
  init(
    _ fileSystem: any FileSystem, _ destination: ResolvedPath, replacing replaced: ReplacedEntry,
    _ mode: PackedFileMode
  ) throws {
    self.replaced = replaced
    self.fileSystem = fileSystem
    self.destination = destination
    self.mode = mode
    object = "packed image \(printable(destination.name))"
    file = try PackedFile.mapErrors(object) {
      try OutputFile(fileSystem, in: destination.directory, named: destination.name)
    }
  }

  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws {
    try PackedFile.mapErrors(object) {
      let stream = self.stream ?? BackgroundWriter(fileSystem, .newFile(file.file))
      self.stream = stream
      try stream.write(bytes)
    }
  }

  /// Calls `body`, which may write the file at any offset.
  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R {
    try PackedFile.mapErrors(object) { try body(file.file, fileSystem) }
  }

  /// Makes the file durable and renames it to its final name.
  /// - Throws: `ImageError` if another process replaced the old file in the meantime; that file stays.
  func publish() throws {
    try PackedFile.mapErrors(object) {
      try stream?.finish()
      if mode.bits != OutputFile.privateMode { try fileSystem.setMode(file.file.raw, mode.bits) }
      try fileSystem.sync(file.file.raw)
      var replacement = EntryReplacement(fileSystem)
      let result = try replacement.publish(
        at: destination.directory.raw, file.nameTemporarily(), as: destination.name,
        replacing: replaced)
      guard result == .done else {
        throw ImageError(
          .imageChanged, object,
          "was replaced by another process during packing; the other file was kept",
          hint: "Run the command again to replace it")
      }
      file.setPublished()
      try fileSystem.sync(destination.directory.raw)
    }
  }

  /// Turns errors of the file system into errors that name the packed image.
  private static func mapErrors<R>(_ object: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SystemError {
      throw ImageError(
        object, "cannot be written (\(error)); the old file did not change",
        hint: error.hint)
    }
  }
}

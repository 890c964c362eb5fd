// The packed image's file: written beside, made durable, and put in its place by one rename.
//
// 1. Whatever happens before the rename, the old file stays whole; a node that downloads it keeps it.
// 2. A part that a killed run left is removed by the next one. It is known by its name and by its
//    lock, which died with its writer.

import Apply
import Platform

/// A packed image under way.
final class PackedFile {
  private static let suffix = Array(".imgstore-part".utf8)

  private let fileSystem: any FileSystem
  private let place: ResolvedPath
  private let temporary: [UInt8]
  private let file: Descriptor
  /// Made at the first write: a squashfs image is not written as a stream.
  private var stream: BackgroundWriter?
  private var isPublished = false
  private let object: String
  private let replaced: ReplacedEntry

  /// Begins a file that will be `place`; leftovers of others beside it go first.
  /// - Parameter replaced: what it may replace: what was seen before the packing began.
  init(
    _ fileSystem: any FileSystem, _ place: ResolvedPath, replacing replaced: ReplacedEntry
  ) throws {
    self.replaced = replaced
    self.fileSystem = fileSystem
    self.place = place
    object = "packed image \(printable(place.name))"
    PackedFile.removeLeftovers(fileSystem, place.directory.raw)
    temporary =
      [0x2e] + place.name + [0x2e] + Array(randomName().utf8) + PackedFile.suffix
    let (directory, name) = (place.directory, temporary)
    file = try PackedFile.explaining(object) {
      try fileSystem.openFile(
        at: directory.raw, name, [.readWrite, .create, .exclusive], mode: 0o600)
    }
    _ = try? fileSystem.lock(file.raw, exclusive: true, wait: false)
  }

  deinit {
    guard !isPublished else { return }
    try? fileSystem.remove(at: place.directory.raw, temporary, isDirectory: false)
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    try PackedFile.explaining(object) {
      let stream = self.stream ?? BackgroundWriter(fileSystem, .newFile(file))
      self.stream = stream
      try stream.write(bytes)
    }
  }

  /// Lets `body` write the file at whatever offsets it likes.
  func fill<R>(_ body: (Descriptor, any FileSystem) throws -> R) throws -> R {
    try PackedFile.explaining(object) { try body(file, fileSystem) }
  }

  /// Makes the file durable and puts it in its place, readable by all.
  func publish() throws {
    try PackedFile.explaining(object) {
      try stream?.finish()
      try fileSystem.setMode(file.raw, 0o644)
      try fileSystem.sync(file.raw)
      var replacement = EntryReplacement(fileSystem)
      let result = try replacement.publish(
        at: place.directory.raw, temporary, as: place.name, replacing: replaced)
      guard result == .done else {
        throw ImageError(
          object, "was written by somebody else while it was being packed; that file was kept",
          advice: "Run the command again to replace it")
      }
      isPublished = true
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

  /// Removes what dead writers of packed images and bundles have left in a folder.
  static func removeLeftovers(_ fileSystem: any FileSystem, _ directory: Int32) {
    for name in (try? fileSystem.names(of: directory)) ?? []
    where name.first == 0x2e && name.count > suffix.count
      && name.suffix(suffix.count) == suffix[...]
    {
      guard
        let file = try? fileSystem.openFile(
          at: directory, name, [.read, .noFollow, .nonBlocking]),
        (try? fileSystem.lock(file.raw, exclusive: true, wait: false)) == true
      else { continue }
      try? fileSystem.remove(at: directory, name, isDirectory: false)
    }
  }
}

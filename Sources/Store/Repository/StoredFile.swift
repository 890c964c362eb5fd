// Small files of the store, read without trust: a fifo, a folder, a device, a link or an oversized file
// in their place is a value with a reason, never a wait and never an unbounded read.
//
// 1. A file is opened without following a link and without blocking; its kind and its size are
//    checked before its bytes are read.
// 2. Who reads decides what an odd file means: damage of what it should be, or nothing at all.

import Platform

/// What a name in one of the store's folders stands for.
enum StoredFile {
  case content([UInt8])
  case absent
  /// It is not a regular file, or larger than such a file can be: "is a fifo, not a file".
  case odd(String)
}

extension Layout {
  /// Reads a small file of the store.
  /// - Parameter limitBytes: the most that a file of this use can have.
  /// - Throws: `SystemError` for anything but an absent or odd file.
  func read(
    _ folder: Descriptor, _ name: [UInt8], limitBytes: Int
  ) throws(SystemError) -> StoredFile {
    let opened: OpenedFile
    do throws(SystemError) { opened = try openRegular(folder, name) } catch {
      if error.code == .notFound { return .absent }
      throw error
    }
    let file: Descriptor
    let sizeBytes: UInt64
    switch opened {
    case .odd(let reason): return .odd(reason)
    case .file(let descriptor, let stat): (file, sizeBytes) = (descriptor, stat.size)
    }
    guard sizeBytes <= UInt64(limitBytes) else {
      return .odd("has \(sizeBytes) bytes, more than the \(limitBytes) that it can have")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(sizeBytes) + 1, alignment: 8)
    defer { buffer.deallocate() }
    let n = try fileSystem.readFully(file.raw, at: 0, into: buffer)
    guard n <= Int(sizeBytes) else { return .odd("grows while it is read") }
    return .content([UInt8](buffer[..<n]))
  }

  /// A name that was opened for reading, or why it cannot be a file of the store.
  enum OpenedFile {
    case file(Descriptor, FileStat)
    case odd(String)
  }

  /// Opens a regular file without waiting for anything.
  /// - Throws: `SystemError`, also `notFound`.
  func openRegular(
    _ folder: Descriptor, _ name: [UInt8]
  ) throws(SystemError) -> OpenedFile {
    let file: Descriptor
    do throws(SystemError) {
      file = try fileSystem.openFile(at: folder.raw, name, [.read, .noFollow, .nonBlocking])
    } catch {
      // ELOOP: a symbolic link. ENXIO: a socket, or a device that is not there.
      guard error.code == .loop || error.code.rawValue == 6 else { throw error }
      guard let stat = try fileSystem.statIfPresent(at: folder.raw, name) else {
        throw SystemError(code: .notFound, "open", name)
      }
      return .odd(Layout.oddity(of: stat.kind))
    }
    let stat = try fileSystem.stat(file.raw)
    guard stat.kind == .file else { return .odd(Layout.oddity(of: stat.kind)) }
    return .file(file, stat)
  }

  static func oddity(of kind: FileKind) -> String { "is a \(kind.noun), not a file" }
}

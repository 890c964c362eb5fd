// Small files of the store, read without trust. A fifo, directory, device, link or oversized file in place
// of one results in a reason, never in a wait or an unbounded read.
//
// 1. A file is opened without following links and without blocking. Its kind and size are checked before
//    its bytes are read.
// 2. The caller decides what an unexpected file means: damage, or a file to ignore.

import Platform

/// The result of reading a name in one of the store's directories.
enum StoredFile {
  case content([UInt8])
  case absent
  /// Not a regular file, or too large; the reason is a clause such as "is a fifo, not a file".
  case unexpected(String)
}

extension Layout {
  /// Reads a small file of the store.
  /// - Parameter limitBytes: the maximum size of a file of this use.
  /// - Throws: `SystemError`, except that absent and unexpected files are results.
  func read(
    _ directory: Descriptor, _ name: [UInt8], limitBytes: Int
  ) throws(SystemError) -> StoredFile {
    let opened: OpenedFile
    do throws(SystemError) { opened = try openRegular(directory, name) } catch {
      if error.code == .notFound { return .absent }
      throw error
    }
    let file: Descriptor
    let sizeBytes: UInt64
    switch opened {
    case .unexpected(let reason): return .unexpected(reason)
    case .file(let descriptor, let stat): (file, sizeBytes) = (descriptor, stat.size)
    }
    guard sizeBytes <= UInt64(limitBytes) else {
      return .unexpected("has \(sizeBytes) bytes, more than the limit of \(limitBytes)")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(sizeBytes) + 1, alignment: 8)
    defer { buffer.deallocate() }
    let n = try fileSystem.readFully(file.raw, at: 0, into: buffer)
    guard n <= Int(sizeBytes) else { return .unexpected("grew while it was read") }
    return .content([UInt8](buffer[..<n]))
  }

  /// A file that is open for reading, or the reason why the name cannot be a file of the store.
  enum OpenedFile {
    case file(Descriptor, FileStat)
    case unexpected(String)
  }

  /// Opens a regular file without blocking.
  /// - Throws: `SystemError`, including `notFound`.
  func openRegular(
    _ directory: Descriptor, _ name: [UInt8]
  ) throws(SystemError) -> OpenedFile {
    let file: Descriptor
    do throws(SystemError) {
      file = try fileSystem.openFile(at: directory.raw, name, [.read, .noFollow, .nonBlocking])
    } catch {
      // ELOOP: a symbolic link. ENXIO: a socket, or a device that does not exist.
      guard error.code == .loop || error.code.rawValue == 6 else { throw error }
      guard let stat = try fileSystem.statIfPresent(at: directory.raw, name) else {
        throw SystemError(code: .notFound, "open", name)
      }
      return .unexpected(Layout.kindProblem(of: stat.kind))
    }
    let stat = try fileSystem.stat(file.raw)
    guard stat.kind == .file else { return .unexpected(Layout.kindProblem(of: stat.kind)) }
    return .file(file, stat)
  }

  /// Returns the reason for a file of another kind than a regular one.
  static func kindProblem(of kind: FileKind) -> String { "is a \(kind.noun), not a file" }
}

// The files of an OCI image on disk: in a layout directory, or as members of an archive.
//
// 1. A file of a directory is opened component by component, below the directory, without following links.
//    Only regular files are read.
// 2. An archive is read once, for the offsets of its members. One that is compressed or comes from a pipe is
//    first written to a file without a name in the store.

import Archive
import Codec
import Ingest
import OCI
import Platform
import Store

/// A file of an image: a range of bytes of an open file.
struct OCIFile: Sendable {
  let fileSystem: any FileSystem
  let file: Descriptor
  let offset: UInt64
  let sizeBytes: UInt64

  /// Fills a buffer from a position. Any thread may call it.
  /// - Returns: the number of bytes; fewer at the end.
  func read(at position: UInt64, into target: UnsafeMutableRawBufferPointer) throws -> Int {
    guard position < sizeBytes else { return 0 }
    let count = Int(min(UInt64(target.count), sizeBytes - position))
    return try fileSystem.readFully(
      file.raw, at: offset + position,
      into: UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
  }

  /// Returns the content of a small file.
  /// - Throws: `OCIError` for a file that is larger than a document may be, or ends too early.
  func document(_ subject: String) throws -> [UInt8] {
    guard sizeBytes <= UInt64(JSONParser.maxBytes) else {
      throw OCIError(subject, "has \(sizeBytes) bytes, too many", hint: OCIError.distrust)
    }
    var bytes = [UInt8](repeating: 0, count: Int(sizeBytes))
    guard try bytes.withUnsafeMutableBytes({ try read(at: 0, into: $0) }) == bytes.count else {
      throw OCIError(subject, "ends too early", hint: OCIError.incomplete)
    }
    return bytes
  }

  /// Returns the SHA-256 of the content.
  func digest() throws -> Digest {
    var hash = SHA256()
    var position: UInt64 = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    while case let n = try read(at: position, into: buffer), n > 0 {
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
      position += UInt64(n)
    }
    return hash.finish()
  }
}

/// The files of an image, by their paths in the layout.
protocol OCIFiles {
  /// Returns a file; nil if it does not exist.
  /// - Throws: `OCIError` for an entry that is not a regular file; `SystemError`.
  func file(_ path: String) throws -> OCIFile?
}

/// The files of a layout directory.
struct OCIDirectoryFiles: OCIFiles {
  let fileSystem: any FileSystem
  let directory: Descriptor

  func file(_ path: String) throws -> OCIFile? {
    var parent = directory
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map { Array($0.utf8) }
    // manifest.json of an archive of Docker names files by path.
    guard parts.allSatisfy({ FileName($0) != nil }) else { return nil }
    do throws(SystemError) {
      for part in parts.dropLast() {
        parent = try fileSystem.openDirectory(at: parent.raw, part)
      }
      guard let name = parts.last else { return nil }
      let file = try fileSystem.openFile(at: parent.raw, name, [.read, .noFollow, .nonBlocking])
      let stat = try fileSystem.stat(file.raw)
      guard stat.kind == .file else { return nil }
      return OCIFile(fileSystem: fileSystem, file: file, offset: 0, sizeBytes: stat.size)
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }
}

/// The members of an archive.
struct OCIArchiveFiles: OCIFiles {
  /// The maximum number of members: two for each of the layers, and a few documents.
  private static let maxMembers = 100_000

  private let fileSystem: any FileSystem
  private let file: Descriptor
  private var members: [String: (offset: UInt64, sizeBytes: UInt64)] = [:]
  /// The symbolic links, with which Docker stores a layer that occurs twice.
  private var links: [String: String] = [:]

  /// Lists the members of an archive.
  /// - Parameter archive: the archive, at its beginning; nil for standard input.
  /// - Throws: `OCIError` for a damaged archive; `StoreError`; `SystemError`.
  init(_ archive: Descriptor?, _ store: ObjectStore, _ progress: Progress) throws {
    fileSystem = store.layout.fileSystem
    let plain = try archive.flatMap {
      try OCIArchiveFiles.isPlainFile($0, store.layout.fileSystem) ? $0 : nil
    }
    file = try plain ?? store.openNamelessFile()
    do {
      try list(plain == nil ? archive?.raw ?? 0 : nil, progress)
    } catch let error as ArchiveError {
      let member =
        error.member.isEmpty ? "the archive" : "member \(printable(error.member.prefix(255)))"
      throw OCIError(member, error.reason, hint: OCIError.incomplete, form: .clause)
    }
  }

  func file(_ path: String) throws -> OCIFile? {
    guard let member = members[path] ?? links[path].flatMap({ members[$0] }) else { return nil }
    return OCIFile(
      fileSystem: fileSystem, file: file, offset: member.offset, sizeBytes: member.sizeBytes)
  }

  /// Returns whether a file can be read at any offset and is not compressed.
  private static func isPlainFile(
    _ file: Descriptor, _ fileSystem: any FileSystem
  ) throws -> Bool {
    guard try fileSystem.stat(file.raw).kind == .file else { return false }
    var offset: UInt64 = 0
    let reader = DecompressingReader { target in
      let n = try fileSystem.readFully(file.raw, at: offset, into: target)
      offset += UInt64(n)
      return n
    }
    var byte: UInt8 = 0
    _ = try? withUnsafeMutableBytes(of: &byte) { try reader.read($0) }
    return !reader.isCompressed
  }

  /// Reads the archive to its end.
  /// - Parameter source: the stream to copy to `file`; nil if `file` is the archive.
  private mutating func list(_ source: Int32?, _ progress: Progress) throws {
    let (fileSystem, file) = (fileSystem, file)
    var position: UInt64 = 0
    let stream = DecompressingReader { try fileSystem.read(source ?? file.raw, into: $0) }
    let next: ByteSource = { target in
      if source == nil {
        let n = try fileSystem.readFully(file.raw, at: position, into: target)
        position += UInt64(n)
        return n
      }
      let n = try stream.read(target)
      try fileSystem.write(file.raw, UnsafeRawBufferPointer(rebasing: target[..<n]))
      progress.add(bytes: UInt64(n))
      position += UInt64(n)
      return n
    }
    let tar = TarReader(next)
    var count = 0
    while let member = try tar.next() {
      count += 1
      guard count <= OCIArchiveFiles.maxMembers else {
        throw ArchiveError("it has more than \(OCIArchiveFiles.maxMembers) members")
      }
      guard let path = OCIArchiveFiles.clean(member.path) else { continue }
      switch member.kind {
      case .file where member.sparse == nil:
        guard members.updateValue((position, member.sizeBytes), forKey: path) == nil else {
          throw ArchiveError(member: member.path, "it occurs twice")
        }
      case .symlink(let target):
        links[path] = OCIArchiveFiles.target(target, of: path)
      default: break
      }
    }
    if source != nil { _ = try hasOnlyZerosLeft { try stream.read($0) } }
  }

  /// Returns a member's path without "./"; nil for a path that no image uses.
  private static func clean(_ path: [UInt8]) -> String? {
    var rest = path[...]
    while rest.starts(with: [0x2e, 0x2f]) { rest = rest.dropFirst(2) }
    return String(validating: rest, as: UTF8.self)
  }

  /// Returns the path that a link in a subdirectory leads to: `../HEX/layer.tar`.
  private static func target(_ target: [UInt8], of path: String) -> String? {
    guard let text = String(validating: target, as: UTF8.self) else { return nil }
    var parts = path.split(separator: "/").dropLast().map(String.init)
    for part in text.split(separator: "/") where part != "." {
      if part == ".." {
        guard parts.popLast() != nil else { return nil }
      } else {
        parts.append(String(part))
      }
    }
    return parts.joined(separator: "/")
  }
}

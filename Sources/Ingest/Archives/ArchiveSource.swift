// A file as a source of lost content: its own bytes and, if it is an archive, the content of each
// member, including nested archives.
//
// 1. Names, owners and times in the archive do not matter. Content is identified by its hash, and
//    only content that the session needs is stored.
// 2. A member that may be an archive is first written to a nameless file in the store's tmp/. All
//    other members pass through one window. Archives are followed to a depth of three.
// 3. A damaged archive yields the content before the damage.

import Archive
import Codec
import Platform
import Store

/// Offers the content of one file to a session.
public struct ArchiveSource {
  private static let maxDepth = 3
  private static let headBytes = 8

  private let store: ObjectStore
  private let progress: Progress
  private var fileSystem: any FileSystem { store.layout.fileSystem }

  /// Creates a source that reads with the store's file system.
  public init(_ store: ObjectStore, _ progress: Progress) {
    self.store = store
    self.progress = progress
  }

  /// Offers the bytes of a regular file and, if it is an archive, the content of its members.
  /// - Throws: the errors of reading the file and of writing to the store.
  public func offer(_ file: Descriptor, to session: WriteSession) throws {
    guard try fileSystem.stat(file.raw).kind == .file else { return }
    try session.withWorker { worker in
      var blobs = BlobIngester()
      try offer(file, worker, &blobs, depth: 0)
    }
  }

  private func offer(
    _ file: Descriptor, _ worker: SessionWorker, _ blobs: inout BlobIngester, depth: Int
  ) throws {
    _ = try blobs.ingest(worker, from: reader(of: file))
    guard depth < ArchiveSource.maxDepth else { return }
    do {
      try offerMembers(file, worker, &blobs, depth: depth)
    } catch is ArchiveError {
      // The file is not an archive, or is damaged from here on.
    } catch is CodecError {
    }
  }

  /// Returns a reader of a file, from its beginning.
  private func reader(
    of file: Descriptor
  ) -> (UnsafeMutableRawBufferPointer) throws -> Int {
    var offset: UInt64 = 0
    return { [fileSystem, progress] target in
      let n = try fileSystem.readFully(file.raw, at: offset, into: target)
      offset += UInt64(n)
      progress.add(bytes: UInt64(n))
      return n
    }
  }

  private func offerMembers(
    _ file: Descriptor, _ worker: SessionWorker, _ blobs: inout BlobIngester, depth: Int
  ) throws {
    let plain = DecompressingReader(reader(of: file))
    let (format, source) = try ArchiveFormat.recognise { try plain.read($0) }
    switch format {
    case .cpio:
      let cpio = CpioReader(source)
      while let member = try cpio.next() {
        guard case .file = member.kind, member.sizeBytes > 0 else { continue }
        try offerMember(worker, &blobs, depth: depth) { try cpio.read($0) }
      }
    case .tar:
      let tar = TarReader(source)
      while let member = try tar.next() {
        guard case .file = member.kind, member.sizeBytes > 0 else { continue }
        try offerMember(worker, &blobs, depth: depth) { try tar.read($0) }
      }
    }
  }

  private func offerMember(
    _ worker: SessionWorker, _ blobs: inout BlobIngester, depth: Int,
    _ read: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws {
    var head = [UInt8](repeating: 0, count: ArchiveSource.headBytes)
    var count = 0
    while count < head.count {
      let n = try head.withUnsafeMutableBytes {
        try read(UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
      }
      if n == 0 { break }
      count += n
    }
    head.removeSubrange(count...)
    var rest = head[...]
    func next(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
      if rest.isEmpty { return try read(target) }
      let n = min(rest.count, target.count)
      target.copyBytes(from: rest.prefix(n))
      rest.removeFirst(n)
      return n
    }
    guard depth + 1 < ArchiveSource.maxDepth, ArchiveSource.mayBeArchive(head) else {
      _ = try blobs.ingest(worker, from: next)
      return
    }
    let spool = try store.openNamelessFile()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while case let n = try next(buffer), n > 0 {
      try fileSystem.write(spool.raw, UnsafeRawBufferPointer(rebasing: buffer[..<n]))
    }
    try offer(spool, worker, &blobs, depth: depth + 1)
  }

  /// Returns whether a file starts like a gzip, xz, zstd or cpio file.
  private static func mayBeArchive(_ head: [UInt8]) -> Bool {
    let marks: [[UInt8]] = [
      [0x1f, 0x8b], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [0x28, 0xb5, 0x2f, 0xfd],
      Array("07070".utf8),
    ]
    return marks.contains { head.starts(with: $0) }
  }
}

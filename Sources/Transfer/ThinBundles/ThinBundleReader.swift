// Reads a thin bundle, which is as untrusted as any bundle: sizes are limited before memory is allocated, and
// the session that receives the frames verifies every object.

import Archive
import Codec
import Platform
import Store

/// A thin bundle that is being read, from the first member to the last.
public final class ThinBundleReader {
  /// The description of the bundle.
  public let manifest: ThinBundleManifest
  /// The snapshot that the bundle carries.
  public let snapshot: TransferredSnapshot
  private let name: String
  private let tar: TarReader

  /// Returns whether a stream is a thin bundle, from the names of its first two members.
  public static func recognizes(_ tar: TarReader) -> Bool {
    guard let first = try? tar.next(), first.kind == .file, first.path == Array("README".utf8),
      let second = try? tar.next(), second.kind == .file, second.path == Array("manifest".utf8),
      let bytes = try? content(of: second, in: tar, limitBytes: ThinBundleManifest.maxBytes, "")
    else { return false }
    return bytes.starts(with: Array("imgstore thin bundle ".utf8))
  }

  /// Reads the description.
  /// - Parameter name: the file for messages.
  /// - Throws: `TransferError` (`bundleInvalid`, `unsupported`); errors of the stream.
  public init(_ tar: TarReader, name: String) throws {
    self.tar = tar
    self.name = name
    _ = try ThinBundleReader.member("README", tar, limitBytes: 64 << 10, name)
    manifest = try ThinBundleManifest(
      decoding: try ThinBundleReader.member(
        "manifest", tar, limitBytes: ThinBundleManifest.maxBytes, name), of: name)
    let bytes = try ThinBundleReader.member(
      "snapshot", tar, limitBytes: TransferredSnapshot.maxBytes, name)
    let signatures = try ThinBundleReader.member(
      "signatures", tar, limitBytes: SignatureList.maxBytes, name)
    do throws(CodecError) {
      snapshot = try TransferredSnapshot(bytes, signatures: SignatureList.decode(signatures))
    } catch {
      throw ThinBundleReader.damaged(name, "carries a snapshot that cannot be read: \(error)")
    }
    guard snapshot.id == manifest.snapshot.id, snapshot.snapshot.image == manifest.image.text else {
      throw ThinBundleReader.damaged(name, "carries another snapshot than its description says")
    }
  }

  /// Passes on all frames.
  /// - Throws: `TransferError` (`bundleInvalid`) if the file is damaged or ends early; errors of `body`.
  public func frames(_ body: (RawFrame) throws -> Void) throws {
    var hash = SHA256()
    var count = 0
    while let member = try next() {
      if member.path == Array("end".utf8) {
        let end = try ThinBundleReader.content(of: member, in: tar, limitBytes: 1024, name)
        guard end == Array("frames \(count)\nsha256 \(hash.finish())\n".utf8) else {
          throw ThinBundleReader.damaged(name, "has other frames than were written into it")
        }
        return
      }
      guard member.path.starts(with: Array("frames/".utf8)), member.kind == .file else {
        throw ThinBundleReader.damaged(name, "has a member that no thin bundle has")
      }
      var rest = member.sizeBytes
      while rest > 0 {
        let front = try read(FrameHeader.byteCount, &rest)
        let size: Int
        do throws(CodecError) { size = try RawFrame.sizeBytes(front: front) } catch {
          throw ThinBundleReader.damaged(name, "has a damaged frame: \(error)")
        }
        let bytes = front + (try read(size - front.count, &rest))
        hash.update(bytes)
        count += 1
        let frame: RawFrame
        do throws(CodecError) { frame = try RawFrame(bytes) } catch {
          throw ThinBundleReader.damaged(name, "has a damaged frame: \(error)")
        }
        try body(frame)
      }
    }
    throw ThinBundleReader.damaged(name, "ends before its last frame")
  }

  private func next() throws -> TarMember? {
    do { return try tar.next() } catch let error as ArchiveError {
      throw ThinBundleReader.damaged(name, "cannot be read: \(error.reason)")
    }
  }

  private func read(_ count: Int, _ rest: inout UInt64) throws -> [UInt8] {
    guard UInt64(count) <= rest else {
      throw ThinBundleReader.damaged(name, "has a frame that is cut off")
    }
    rest -= UInt64(count)
    return try ThinBundleReader.read(count, from: tar, name)
  }

  private static func member(
    _ path: String, _ tar: TarReader, limitBytes: Int, _ name: String
  ) throws -> [UInt8] {
    let member: TarMember?
    do { member = try tar.next() } catch let error as ArchiveError {
      throw damaged(name, "cannot be read: \(error.reason)")
    }
    guard let member, member.kind == .file, member.path == Array(path.utf8) else {
      throw damaged(name, "lacks the member \(path)")
    }
    return try content(of: member, in: tar, limitBytes: limitBytes, name)
  }

  private static func content(
    of member: TarMember, in tar: TarReader, limitBytes: Int, _ name: String
  ) throws -> [UInt8] {
    guard member.sizeBytes <= UInt64(limitBytes) else {
      throw damaged(name, "has the member \(printable(member.path)) with too many bytes")
    }
    return try read(Int(member.sizeBytes), from: tar, name)
  }

  private static func read(_ count: Int, from tar: TarReader, _ name: String) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    do {
      try bytes.withUnsafeMutableBytes { buffer in
        while filled < count {
          let n = try tar.read(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
          if n == 0 { break }
          filled += n
        }
      }
    } catch let error as ArchiveError {
      throw damaged(name, "cannot be read: \(error.reason)")
    }
    guard filled == count else { throw damaged(name, "ends early") }
    return bytes
  }

  static func damaged(_ name: String, _ reason: String) -> TransferError {
    TransferError(.bundleInvalid, name, reason, hint: "Copy the file again, or export it again")
  }
}

// Writes a thin bundle: a tar archive that anybody can list, with the frames that the receiver lacks.
//
//     README  manifest  snapshot  signatures  frames/000001 …  end
//
// 1. The receiver's objects are known from snapshots that it has, and from a list that it wrote.
// 2. The member `end` tells that the file is complete.
// 3. Memory: the frames of one member.

import Archive
import Codec
import Platform
import Store

/// A thin bundle that is being written, as the receiving side of a transfer.
public final class ThinBundleWriter: TransferSession {
  private let write: ([UInt8]) throws -> Void
  private let manifest: ThinBundleManifest
  private let known: Set<ObjectName>
  private var frames: [UInt8] = []
  private var memberCount = 0
  private var frameCount = 0
  private var hash = SHA256()
  /// The number of bytes written so far.
  public private(set) var writtenBytes: UInt64 = 0

  private static let memberBytes = 8 << 20

  /// Begins a bundle.
  /// - Parameters:
  ///   - known: objects that the receiver has.
  ///   - write: appends bytes to the file.
  /// - Throws: errors of `write`.
  public init(
    _ manifest: ThinBundleManifest, _ snapshot: TransferredSnapshot, known: Set<ObjectName>,
    write: @escaping ([UInt8]) throws -> Void
  ) throws {
    self.manifest = manifest
    self.known = known
    self.write = write
    try member("README", manifest.readme())
    try member("manifest", manifest.encode(mayHaveBases: acceptsBases))
    try member("snapshot", snapshot.bytes)
    try member("signatures", SignatureList.encode(snapshot.signatures))
  }

  public var acceptsBases: Bool { !known.isEmpty }

  public func missing(_ names: [ObjectName]) throws -> [ObjectName] {
    names.filter { !known.contains($0) }
  }

  public func missingBlobs(_ blobs: [Digest]) throws -> [Digest] {
    blobs.filter {
      !known.contains(ObjectName(kind: .chunk, id: $0))
        && !known.contains(ObjectName(kind: .recipe, id: $0))
    }
  }

  public func append(_ frame: RawFrame) throws {
    frames += frame.bytes
    frameCount += 1
    if frames.count >= ThinBundleWriter.memberBytes { try writeFrames() }
  }

  /// Completes the file.
  public func commit(_ snapshot: TransferredSnapshot, bases: [Digest]) throws -> Int {
    try writeFrames()
    try member("end", Array("frames \(frameCount)\nsha256 \(hash.finish())\n".utf8))
    try put(TarMember.end(after: writtenBytes))
    return manifest.snapshot.number
  }

  public func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int { number }
  public func pin(_ image: ImageName, _ number: Int, reason: String) throws {}
  public func end() {}

  private func writeFrames() throws {
    if frames.isEmpty { return }
    memberCount += 1
    hash.update(frames)
    let digits = String(memberCount)
    try member("frames/" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits, frames)
    frames.removeAll(keepingCapacity: true)
  }

  private func member(_ name: String, _ bytes: [UInt8]) throws {
    let header = TarMember(
      path: Array(name.utf8), kind: .file, mode: 0o600, sizeBytes: UInt64(bytes.count),
      modifiedSeconds: manifest.snapshot.created.seconds)
    try put(try header.header())
    try put(bytes)
    let rest = bytes.count % Int(TarMember.unitBytes)
    if rest > 0 { try put([UInt8](repeating: 0, count: Int(TarMember.unitBytes) - rest)) }
  }

  private func put(_ bytes: [UInt8]) throws {
    try write(bytes)
    writtenBytes += UInt64(bytes.count)
  }
}

/// The signatures of a snapshot as one list of bytes.
enum SignatureList {
  static let maxCount = 64
  static let maxBytes = 128 << 20

  static func encode(_ signatures: [SnapshotSignature]) -> [UInt8] {
    var writer = ByteWriter()
    writer.varint(signatures.count)
    for signature in signatures {
      writer.string(signature.kind.rawValue)
      writer.string(signature.statement)
      writer.digest(signature.key)
      writer.string(signature.signature)
    }
    return writer.bytes
  }

  static func decode(_ bytes: [UInt8]) throws(CodecError) -> [SnapshotSignature] {
    try withReader(bytes) { (reader: inout ByteReader) throws(CodecError) in
      var signatures: [SnapshotSignature] = []
      let count = try reader.count(bytesEach: 35)
      guard count <= maxCount else { throw .overLimit("there are too many signatures") }
      for _ in 0..<count {
        guard let kind = SignatureFileName.Kind(rawValue: try reader.text()) else {
          throw .corrupt("a signature has an unknown kind")
        }
        let statement = try reader.string()
        let key = try reader.digest()
        let signature = try reader.string()
        guard statement.count <= RefLog.maxStatementBytes,
          signature.count == RefLog.signatureBytes
        else { throw .corrupt("a signature has an invalid size") }
        signatures.append(
          SnapshotSignature(kind: kind, statement: statement, key: key, signature: signature))
      }
      try reader.expectEnd()
      return signatures
    }
  }
}

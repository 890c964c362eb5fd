// The values that occur in several messages.

import Codec
import Platform
import Store
import Transfer

/// The signatures of a snapshot.
enum SignatureList {
  /// The largest sum of the statements that a message takes. A statement has about 1 KB.
  static let maxBytes = 8 << 20
}

extension ByteWriter {
  /// Appends a count and the digests.
  mutating func digests(_ digests: [Digest]) {
    reserve(bytes.count + digests.count * Digest.byteCount + 5)
    varint(digests.count)
    for digest in digests { self.digest(digest) }
  }

  /// Appends names in their order: for each run of one kind, the kind, the number and the ids.
  mutating func names(_ names: [ObjectName]) {
    reserve(bytes.count + names.count * 33 + 5)
    varint(names.count)
    var index = 0
    while index < names.count {
      let kind = names[index].kind
      let run = names[index...].prefix { $0.kind == kind }
      byte(kind.rawValue)
      varint(run.count)
      for name in run { digest(name.id) }
      index += run.count
    }
  }

  /// Appends a snapshot with its signatures, and what it is where it comes from.
  mutating func snapshot(_ snapshot: TransferredSnapshot) {
    string(snapshot.bytes)
    string(snapshot.remoteName?.image.text ?? "")
    varint(snapshot.remoteName?.number ?? 0)
    digest(snapshot.remoteID)
    varint(snapshot.signatures.count)
    for signature in snapshot.signatures {
      byte(signature.kind == .signed ? 0 : 1)
      digest(signature.key)
      string(signature.signature)
      string(signature.statement)
    }
  }
}

extension ByteReader {
  mutating func digests(limit: Int) throws(CodecError) -> [Digest] {
    let count = try count(bytesEach: Digest.byteCount)
    guard count <= limit else { throw .overLimit("\(count) ids are more than a message may have") }
    var digests: [Digest] = []
    digests.reserveCapacity(count)
    for _ in 0..<count { digests.append(try digest()) }
    return digests
  }

  mutating func names(limit: Int) throws(CodecError) -> [ObjectName] {
    let count = try count(bytesEach: Digest.byteCount)
    guard count <= limit else {
      throw .overLimit("\(count) names are more than a message may have")
    }
    var names: [ObjectName] = []
    names.reserveCapacity(count)
    while names.count < count {
      guard let kind = ObjectKind(rawValue: try byte()) else {
        throw .corrupt("a name has an unknown kind")
      }
      guard names.last?.kind != kind else { throw .corrupt("two runs of names have one kind") }
      let run = try self.count(bytesEach: Digest.byteCount)
      guard run > 0, run <= count - names.count else {
        throw .corrupt("a run of names is too long")
      }
      for _ in 0..<run { names.append(ObjectName(kind: kind, id: try digest())) }
    }
    return names
  }

  /// Reads a text of at most `limit` bytes without control characters.
  mutating func text(limit: Int) throws(CodecError) -> String {
    let text = try text()
    guard text.utf8.count <= limit else { throw .overLimit("a text is too long") }
    guard !text.holdsControlCharacters else { throw .corrupt("a text has control characters") }
    return text
  }

  /// Reads the name of an image.
  mutating func image() throws(CodecError) -> ImageName {
    let text = try text(limit: 128)
    guard let image = try? ImageName(text) else { throw .corrupt("a name of an image is invalid") }
    return image
  }

  /// The highest number of a snapshot: ref names have at most 15 digits.
  private static let maxNumber: UInt64 = 999_999_999_999_999

  /// Reads the number of a snapshot.
  mutating func number() throws(CodecError) -> Int {
    let number = try varint(limit: ByteReader.maxNumber, "the number of a snapshot")
    guard number > 0 else { throw .corrupt("the number of a snapshot is zero") }
    return Int(number)
  }

  /// Reads a snapshot with its signatures.
  mutating func snapshot() throws(CodecError) -> TransferredSnapshot {
    let bytes = try string()
    guard bytes.count <= MessageType.maxSnapshotBytes else {
      throw .overLimit("the snapshot has \(bytes.count) bytes, more than a message takes")
    }
    let remoteName = try snapshotName()
    let remoteID = try digest()
    let count = try count(bytesEach: 98)
    guard count <= RefLog.maxSignatures else { throw .overLimit("there are too many signatures") }
    var signatures: [SnapshotSignature] = []
    var statementBytes = 0
    for _ in 0..<count {
      let kind = try byte()
      guard kind <= 1 else { throw .corrupt("a signature has an unknown kind") }
      let key = try digest()
      let signature = try string()
      let statement = try string()
      statementBytes += statement.count
      guard signature.count == RefLog.signatureBytes, statement.count <= RefLog.maxStatementBytes,
        statementBytes <= SignatureList.maxBytes
      else { throw .overLimit("a signature or its statement has a size that none has") }
      signatures.append(
        SnapshotSignature(
          kind: kind == 0 ? .signed : .origin, statement: statement, key: key,
          signature: signature))
    }
    var snapshot = try TransferredSnapshot(bytes, signatures: signatures)
    snapshot.remoteName = remoteName
    snapshot.remoteID = remoteID
    return snapshot
  }

  /// Reads the name of a snapshot; nil for an empty one.
  private mutating func snapshotName() throws(CodecError) -> SnapshotName? {
    let text = try text(limit: 128)
    guard !text.isEmpty else {
      guard try varint() == 0 else { throw .corrupt("a number has no image") }
      return nil
    }
    guard let image = try? ImageName(text) else { throw .corrupt("a name of an image is invalid") }
    return SnapshotName(image: image, number: try number())
  }
}
